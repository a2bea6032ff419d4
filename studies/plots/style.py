"""How every plot looks, whether Plotly or Matplotlib draws it: one palette.

The colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), which colour-blind readers can tell apart;
since they are alike in grey, dashes, markers and patterns tell lines and bars apart too.
"""

BLUE, VERMILION, GREEN, PURPLE, BLACK, ORANGE, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#E69F00",
    "#56B4E9",
)
SERIES = (BLUE, VERMILION, GREEN, PURPLE, BLACK, ORANGE, SKY)  # without yellow, which is too pale on white

FRONT, BEYOND, RECOMMENDED = BLUE, VERMILION, ORANGE
FAINT = "#B8B8B8"  # dominated trials
UNSURE = "rgba(0, 114, 178, 0.4)"  # how far a latency may be off: the front's colour, see-through
BAND = "rgba(0, 114, 178, 0.12)"  # between which steps the front may lie
PALE = "#8FB8D0"  # the front's colour, for what is not recommended
INK, QUIET, GRID = "#222222", "#555555", "#E6E6E6"
AXIS = "#888888"
JOINT = "#777777"  # the front of several studies, whose members have colours of their own
