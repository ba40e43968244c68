"use strict";
// Draws the charts, hides models that are not wanted, and follows light, dark and print.
(() => {
  const page = document.documentElement;
  const failed = (reason) => { page.dataset.charts = `failed: ${reason}`; };
  addEventListener("error", (event) => failed(event.message));
  addEventListener("unhandledrejection", (event) => failed(event.reason));

  const colors = {
    light: { text: "#1f2328", line: "#d1d9e0" },
    dark: { text: "#e6e8eb", line: "#3a424b" },
    print: { text: "#000000", line: "#d1d9e0" },
  };
  const models = () =>
    Bokeh.documents.flatMap((one) => one.roots()).flatMap((root) => [...root.references()]);

  function paint({ text, line }) {
    for (const model of models()) {
      if (model.type.endsWith("Axis")) {
        model.setv({
          axis_label_text_color: text, major_label_text_color: text, axis_line_color: line,
          major_tick_line_color: line, minor_tick_line_color: null,
        });
      } else if (model.type === "Span") {
        model.line_color = text;
      } else if (model.type === "Grid") {
        model.setv({ grid_line_color: line, grid_line_alpha: 0.6 });
      }
    }
  }

  const dark = matchMedia("screen and (prefers-color-scheme: dark)");
  const follow = () => paint(dark.matches ? colors.dark : colors.light);
  dark.addEventListener("change", follow);
  addEventListener("beforeprint", () => paint(colors.print));
  addEventListener("afterprint", follow);

  const boxes = [...document.querySelectorAll("fieldset input[type=checkbox]")];
  const search = document.querySelector("fieldset input[type=search]");
  search?.addEventListener("input", () => {
    for (const box of boxes) {
      const wanted = box.value.toLowerCase().includes(search.value.toLowerCase());
      box.parentElement.hidden = !wanted;
      if (box.checked !== wanted) {
        box.checked = wanted;
        box.dispatchEvent(new Event("change"));
      }
    }
  });
  for (const box of boxes) {
    box.addEventListener("change", () => {
      for (const model of models()) {
        if (model.type === "GlyphRenderer" && model.name === box.value) {
          model.visible = box.checked;
        }
      }
    });
  }

  const { document: drawn, roots } = JSON.parse(document.getElementById("charts").textContent);
  const items = [{ docid: "report", roots, root_ids: Object.keys(roots) }];
  Bokeh.embed.embed_items({ report: drawn }, items).then(() => {
    follow();
    page.dataset.charts = `${Object.keys(roots).length} drawn`;
  });
})();
