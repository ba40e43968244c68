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

  // Names stand where they cover neither points nor other names, or else are left to hovering.
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = "10px Helvetica, Arial, sans-serif";
  const RADIUS = 7, HEIGHT = 11, GAP = 9;
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

  function place(view) {
    const { x_scale, y_scale, bbox } = view.frame;
    const shown = view.model.renderers.filter((one) => one.visible && one.data_source);
    const spots = shown.map((one) => ({
      glyph: one.glyph,
      x: x_scale.compute(one.data_source.get_column("x")[0]),
      y: y_scale.compute(one.data_source.get_column("y")[0]),
      text: one.data_source.get_column("label")?.[0] ?? "",
    }));
    const taken = spots.map(({ x, y }) => (
      { left: x - RADIUS, right: x + RADIUS, top: y - RADIUS, bottom: y + RADIUS }));
    const names = spots.filter(({ glyph }) => glyph.tags.includes("name")).sort((a, b) => a.y - b.y);
    for (const { glyph, x, y, text } of names) {
      const width = pen.measureText(text).width;
      const places = [];
      for (const dy of [0, -12, 12, -24, 24]) {
        places.push([GAP, dy, "left"], [-GAP, dy, "right"]);
        if (dy) places.push([0, dy * 1.1, "center"]);
      }
      const fits = places.find(([dx, dy, align]) => {
        const left = x + dx - { left: 0, right: width, center: width / 2 }[align];
        const box = {
          left, right: left + width, top: y + dy - HEIGHT / 2, bottom: y + dy + HEIGHT / 2 };
        const inside = box.left >= bbox.left && box.right <= bbox.right
          && box.top >= bbox.top && box.bottom <= bbox.bottom;
        if (!inside || taken.some((other) => overlap(box, other))) return false;
        taken.push(box);
        return true;
      });
      const [dx, dy, align] = fits ?? [0, 0, "left"];
      glyph.setv({ x_offset: dx, y_offset: dy, text_align: align, text_alpha: fits ? 1 : 0 });
    }
  }

  let waiting = 0;
  let named = [];
  function placeSoon() {
    clearTimeout(waiting);
    waiting = setTimeout(() => named.forEach(place), 60);
  }

  const dark = matchMedia("screen and (prefers-color-scheme: dark)");
  const follow = () => paint(dark.matches ? colors.dark : colors.light);
  dark.addEventListener("change", follow);
  addEventListener("beforeprint", () => paint(colors.print));
  addEventListener("afterprint", follow);

  // Where a column is narrow, names break behind what separates their parts.
  for (const name of document.querySelectorAll("th[scope=row]")) {
    const parts = name.textContent.split(/(?<=[_./-])(?![_./-])/);
    if (parts.length > 1 && !name.children.length) {
      name.replaceChildren(...parts.flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part])));
    }
  }

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
      placeSoon();
    });
  }

  const { document: drawn, roots } = JSON.parse(document.getElementById("charts").textContent);
  const items = [{ docid: "report", roots, root_ids: Object.keys(roots) }];
  Bokeh.embed.embed_items({ report: drawn }, items).then(async ([views]) => {
    follow();
    named = [...views].filter(({ model }) =>
      model.renderers?.some((one) => one.glyph?.tags.includes("name")));
    for (const { model } of named) {
      for (const range of [model.x_range, model.y_range]) {
        range.properties.start.change.connect(placeSoon);
      }
      // Bokeh tells the inner size when it has laid the chart out anew.
      for (const side of ["inner_width", "inner_height"]) {
        model.properties[side].change.connect(placeSoon);
      }
    }
    placeSoon();
    page.dataset.charts = `${Object.keys(roots).length} drawn`;
  });
})();
