"""What one would type to get a scene: tag lists, full sentences and short wishes."""

import random

from luciole.storyworld.attributes import Actor, Scene

_ACTIONS = {
    "standing": ("standing", "standing still"),
    "walking": ("walking", "taking a walk"),
    "running": ("running", "running fast"),
    "sitting": ("sitting", "sitting on a stool"),
    "waving": ("waving", "waving hello"),
    "jumping": ("jumping", "jumping high"),
    "reading": ("reading", "reading a book"),
    "dancing": ("dancing", "dancing happily"),
}
_PLACES = {
    "street": ("on a street", "on a city street"),
    "park": ("in a park", "in the park"),
    "beach": ("on a beach", "at the beach"),
    "forest": ("in a forest", "in a pine forest"),
    "mountains": ("in the mountains", "in front of mountains"),
    "desert": ("in a desert", "in the desert"),
    "rooftop": ("on a rooftop", "on a city rooftop"),
    "bedroom": ("in a bedroom", "in her bedroom"),
    "cafe": ("in a cafe", "in a small cafe"),
    "library": ("in a library", "in the library"),
}
_WEATHER = {
    "clear": ("under a clear sky", "in clear weather", "in fine weather"),
    "cloudy": ("under a cloudy sky", "in cloudy weather"),
    "rain": ("in the rain", "in rain", "on a rainy day"),
    "snow": ("in the snow", "in snow", "while snow falls"),
    "fog": ("in the fog", "in fog", "on a foggy day"),
}
_TIMES = {
    "morning": ("in the morning", "in morning light"),
    "day": ("during the day", "at noon", "by day"),
    "sunset": ("at sunset", "in sunset light"),
    "night": ("at night", "in the night"),
}
_ACCESSORIES = {
    "glasses": "glasses",
    "hat": "a straw hat",
    "scarf": "a scarf",
    "headphones": "headphones",
}
_LEADS = ("", "", "", "anime ", "cartoon ")
_ARTICLES = ("a ", "a ", "")


def captions(scene: Scene, seed: int) -> tuple[str, str, str, str]:
    """Tags, two sentences and a short wish, all lower case; the same seed gives the same words."""
    rng = random.Random(f"captions-{scene.seed}-{seed}")
    return (tags(scene, rng), sentence(scene, rng), sentence(scene, rng), wish(scene, rng))


def tags(scene: Scene, rng: random.Random) -> str:
    """A comma-separated list such as '1girl, red hair, blue coat, rain'; some tags are left out."""
    words = [_head_count(scene)]
    for actor in scene.actors:
        words += _traits(actor, rng)
    rest = [scene.setting, scene.time, _weather_tag(scene.weather, rng)]
    rest += [scene.shot] if rng.random() < 0.6 else []
    rest += [scene.angle] if scene.angle != "eye level" or rng.random() < 0.2 else []
    words += [word for word in rest if rng.random() < 0.94]
    head, tail = words[0], words[1:]
    if len(scene.actors) == 1 and rng.random() < 0.5:
        rng.shuffle(tail)
    return ", ".join([head, *tail])


def sentence(scene: Scene, rng: random.Random) -> str:
    """Plain words such as 'a girl with long red hair in a blue coat is walking in the rain'."""
    people = " and ".join(_person(actor, rng, detail=0.9) for actor in scene.actors)
    parts = [people, *_circumstances(scene, rng, 0.92)]
    text = " ".join(parts)
    if rng.random() < 0.5:
        text = f"{scene.shot}, {text}" if rng.random() < 0.5 else f"{text}, {scene.shot}"
    if scene.angle != "eye level" and rng.random() < 0.8:
        text = f"{text}, {scene.angle}"
    return text


def wish(scene: Scene, rng: random.Random) -> str:
    """A few words such as 'anime girl walking in rain'; most of the scene is left open."""
    people = " and ".join(_person(actor, rng, detail=0.35) for actor in scene.actors)
    return " ".join([people, *_circumstances(scene, rng, 0.5)])


def complete_tags(scene: Scene, rng: random.Random) -> str:
    """A tag list of one person that leaves nothing out, in the order of training."""
    look, action = scene.actors[0].identity, scene.actors[0].action
    words = [_head_count(scene), f"{look.hair_color} hair", f"{look.outfit_color} {look.outfit}"]
    words += [action, _style_words(look.hair_style), f"{look.skin} skin"]
    words += [_ACCESSORIES[look.accessory].removeprefix("a ")] if look.accessory != "none" else []
    words += [scene.setting, scene.time, _weather_tag(scene.weather, rng), scene.shot]
    return ", ".join(words + ([scene.angle] if scene.angle != "eye level" else []))


def complete_sentence(scene: Scene, rng: random.Random) -> str:
    """A sentence that leaves nothing out."""
    people = " and ".join(_person(actor, rng, detail=1.0) for actor in scene.actors)
    text = ", ".join([" ".join([people, *_circumstances(scene, rng, 1.0)]), scene.shot])
    return text if scene.angle == "eye level" else f"{text}, {scene.angle}"


def _head_count(scene: Scene) -> str:
    people = [actor.identity.person for actor in scene.actors]
    if len(people) == 1:
        return f"1{people[0]}"
    return f"2{people[0]}s" if people[0] == people[1] else "1girl, 1boy"


def _traits(actor: Actor, rng: random.Random) -> list[str]:
    look = actor.identity
    words = [f"{look.hair_color} hair", f"{look.outfit_color} {look.outfit}", actor.action]
    words += [_style_words(look.hair_style)] if rng.random() < 0.8 else []
    words += [f"{look.skin} skin"] if rng.random() < 0.5 else []
    words += [_ACCESSORIES[look.accessory].removeprefix("a ")] if look.accessory != "none" else []
    return [word for word in words if rng.random() < 0.96]


def _style_words(style: str) -> str:
    return f"{style} hair" if style in ("short", "long", "curly") else style


def _weather_tag(weather: str, rng: random.Random) -> str:
    if weather == "clear":
        return rng.choice(("clear sky", "clear weather"))
    return {"cloudy": "cloudy sky"}.get(weather, weather) if rng.random() < 0.5 else weather


def _person(actor: Actor, rng: random.Random, detail: float) -> str:
    look = actor.identity
    text = rng.choice(_ARTICLES) + rng.choice(_LEADS) + look.person
    text = text.replace("a anime", "an anime")
    if rng.random() < detail:
        text += f" with {_hair(look.hair_style, look.hair_color, rng)}"
        if rng.random() < 0.4:
            text += f" and {look.skin} skin"
    if rng.random() < detail:
        article = "an" if look.outfit_color[0] == "o" else "a"
        garment = "overalls" if look.outfit == "overalls" else look.outfit
        bare = look.outfit == "overalls"
        text += rng.choice((" in ", " wearing ")) + ("" if bare else f"{article} ")
        text += f"{look.outfit_color} {garment}"
    if look.accessory != "none" and rng.random() < detail:
        text += f" with {_ACCESSORIES[look.accessory]}"
    if rng.random() < max(detail, 0.7):
        text += rng.choice((" ", " ", " is ")) + rng.choice(_ACTIONS[actor.action])
    return text


def _hair(style: str, color: str, rng: random.Random) -> str:
    if style in ("short", "long", "curly"):
        return f"{style} {color} hair" if rng.random() < 0.7 else f"{color} hair"
    if rng.random() < 0.3:
        return f"{color} hair"
    return f"{color} twintails" if style == "twintails" else f"{color} hair in a {style}"


def _circumstances(scene: Scene, rng: random.Random, detail: float) -> list[str]:
    parts = []
    if rng.random() < detail:
        where = rng.choice(_PLACES[scene.setting])
        if scene.actors[0].identity.person == "boy":
            where = where.replace("her ", "his ")
        parts.append(where)
    if rng.random() < detail:
        parts.append(rng.choice(_WEATHER[scene.weather]))
    if rng.random() < detail:
        parts.append(rng.choice(_TIMES[scene.time]))
    if rng.random() < 0.25:
        rng.shuffle(parts)
    return parts
