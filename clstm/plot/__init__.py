"""Pictures. They need matplotlib, the extra ``clstm-toolkit[plot]``, which is imported when the first one is drawn.

Each function draws into the axes it is given, or into those of a new figure of pyplot, and returns them. None changes a
setting of matplotlib, or shows a window. Lines differ in form and lightness as well as in colour, so that they can be
told apart in grey and by those who see colours differently; so do colours that stand for numbers, which grow darker or
lighter with them, and where a sign counts go two ways from white, which is zero.
"""

from .inside import gates, saturation, states
from .series import forecast
from .training import gradient_flow, history, learning_rates

__all__ = ["forecast", "gates", "gradient_flow", "history", "learning_rates", "saturation", "states"]
