"""Time of day and weather as colours: skies, the light on things, and the light on people."""

from dataclasses import dataclass

from luciole.storyworld.canvas import Color, mix


@dataclass(frozen=True)
class Light:
    """How a scene is lit; multipliers are colours where 255 leaves a channel unchanged."""

    sky: tuple[Color, Color, Color]
    world: Color
    people: Color
    glow: Color
    """Colour of the sun or moon."""
    window: Color
    """What lit windows and lamps show."""
    lamps: bool


_TIMES: dict[str, Light] = {
    "morning": Light(
        sky=((150, 196, 240), (214, 222, 240), (255, 226, 206)),
        world=(255, 240, 236),
        people=(255, 248, 244),
        glow=(255, 240, 200),
        window=(188, 212, 232),
        lamps=False,
    ),
    "day": Light(
        sky=((64, 150, 236), (128, 192, 246), (196, 228, 252)),
        world=(255, 255, 255),
        people=(255, 255, 255),
        glow=(255, 236, 120),
        window=(150, 196, 232),
        lamps=False,
    ),
    "sunset": Light(
        sky=((110, 84, 160), (240, 128, 96), (255, 190, 96)),
        world=(255, 196, 160),
        people=(255, 240, 228),
        glow=(255, 120, 64),
        window=(255, 214, 140),
        lamps=False,
    ),
    "night": Light(
        sky=((16, 22, 60), (30, 40, 92), (54, 66, 124)),
        world=(104, 116, 176),
        people=(222, 226, 244),
        glow=(246, 244, 214),
        window=(255, 222, 128),
        lamps=True,
    ),
}

_GREY: dict[str, Color] = {
    "morning": (196, 200, 212),
    "day": (164, 178, 194),
    "sunset": (176, 130, 132),
    "night": (44, 50, 78),
}


def light_of(time: str, weather: str) -> Light:
    """The light of a time of day, greyed by the weather."""
    light = _TIMES[time]
    grey = _GREY[time]
    share = {"clear": 0.0, "cloudy": 0.5, "rain": 0.75, "snow": 0.55, "fog": 0.65}[weather]
    if share == 0:
        return light
    dark = 0.78 if weather == "rain" else 0.96
    tone: Color = (round(grey[0] * dark), round(grey[1] * dark), round(grey[2] * dark))
    sky = tuple(mix(color, tone, share) for color in light.sky)
    damp: Color = (214, 220, 232) if weather == "rain" else (240, 242, 248)
    world = tuple(round(a * b / 255) for a, b in zip(light.world, damp, strict=True))
    return Light(
        sky=(sky[0], sky[1], sky[2]),
        world=(world[0], world[1], world[2]),
        people=light.people,
        glow=light.glow,
        window=light.window,
        lamps=light.lamps,
    )


def lit(color: Color, light: Color) -> Color:
    """`color` under a multiplying light."""
    return (
        round(color[0] * light[0] / 255),
        round(color[1] * light[1] / 255),
        round(color[2] * light[2] / 255),
    )
