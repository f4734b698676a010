"""The colours of the map: the same order of lightness for every eye.

Conventions
-----------
- A scale runs from what hardly stands out against the page to what stands out most, its lightness always in one
  direction, so that it is read without seeing hues, and in print.
- The colours of kinds are Okabe & Ito's (2008), told apart with every colour vision; each has a shape of its own too.
"""

SCALES = {
    "light": ("#d3d9df", "#a6bfd6", "#6a99c4", "#2f6bab", "#0b2f66"),
    "dark": ("#39424c", "#4d6580", "#7a8a86", "#bfb458", "#ffe34d"),
}
"""Theme -> stops from the lowest to the highest probability; cividis' hues in the dark."""

KINDS = {
    "light": ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9", "#000000"),
    "dark": ("#4aa8e0", "#f0803c", "#2fc79b", "#e39ac4", "#f0e442", "#a5d8f5", "#ffffff"),
}
"""Theme -> colours of the most frequent kinds."""

OTHERS = {"light": "#9aa5b1", "dark": "#6b7682"}
"""Theme -> the one colour of all other kinds."""
