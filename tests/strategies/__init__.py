"""Random graphs, networks and levels, drawn by hypothesis."""
