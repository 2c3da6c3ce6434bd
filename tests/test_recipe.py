"""Recipes: what they can mean, and the ones that come with the package."""

import tomllib

import pytest

from melodylab import weights
from melodylab.errors import InputError
from melodylab.training import Bank, Recipe, Training, shipped
from melodylab.training.recipe import fields_told


def test_a_recipe_is_completed_with_defaults_and_survives_its_own_toml(tmp_path):
    path = tmp_path / "recipe.toml"
    data = "[data]\nsongs = 7\n[data.ingredients]\ndrums = false\n"
    path.write_text(f'[model]\nname = "sf-cnn"\n{data}[training]\nclip_norm = 2\n')
    found = Recipe.read(path)
    assert (found.model, found.data.songs, found.data.ingredients.drums) == ("sf-cnn", 7, False)
    assert found.data.mixes == Bank().mixes and found.training == Training(clip_norm=2.0)
    assert isinstance(found.training.clip_norm, float)
    assert tomllib.loads(found.as_toml()) == found.as_dict()
    assert Recipe.from_dict(found.as_dict()) == found
    assert set(found.as_dict()["training"]) == set(Training.__dataclass_fields__)


def test_further_keys_of_the_model_change_the_network():
    found = Recipe.from_dict({"model": {"name": "sf-crnn-1", "across_patches": True}})
    assert found.create_model().across_patches is True
    assert found.as_dict()["model"] == {"name": "sf-crnn-1", "across_patches": True}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[model\n", "no valid TOML"),
        ("", "[model] names no network; choose from sf-crnn-1"),
        ('[model]\nname = "crnn"', "[model] name is 'crnn'; choose from sf-crnn-1"),
        ('[model]\nname = "sf-cnn"\nunit = 3', "[model]: sf-cnn has nothing called unit to change"),
        ('[model]\nname = "sf-cnn"\ncnn = "cnn9"', "[model]: sf-cnn cannot be built so"),
        ('[modle]\nname = "sf-cnn"', "has no table 'modle'; did you mean model?"),
        ('training = 3\n[model]\nname = "sf-cnn"', "training must be a table"),
        (
            "[training]\nlearnin_rate = 1.0",
            "[training]: there is no key 'learnin_rate'; did you mean learning_rate?",
        ),
        ("[data]\nsong = 1", "[data]: there is no key 'song'; did you mean songs?"),
        (
            "[data.ingredients]\ndrum = true",
            "[data.ingredients]: there is no key 'drum'; did you mean drums?",
        ),
        ("[training]\nsteps = 1.5", "[training]: steps is 1.5 and must be a whole number"),
        ("[training]\nsteps = true", "[training]: steps is true and must be a whole number"),
        (
            '[training]\nlearning_rate = "high"',
            '[training]: learning_rate is "high" and must be a number',
        ),
        ("[training]\nregularise = 1", "[training]: regularise is 1 and must be true or false"),
        ("[training]\nschedule = 1", "[training]: schedule is 1 and must be text in quotes"),
        ("[training]\nsteps = 1979-05-27", "[training]: steps is"),
        (
            "[data]\ningredients = 3",
            "[data]: ingredients is 3 and must be a table; write [data.ingredients]",
        ),
        ("[training]\nsteps = 0", "[training]: steps is 0 and must be at least 1"),
        (
            "[training]\naverage = 1.0",
            "[training]: average is 1.0 and must be between 0 and 0.999999",
        ),
        ("[training]\nclip_norm = nan", "[training]: clip_norm is nan and must be at least 0"),
        ("[training]\nlearning_rate = inf", "[training]: learning_rate is inf"),
        (
            '[training]\nschedule = "step"',
            "[training]: schedule is 'step'; choose cosine, constant or plateau",
        ),
        (
            '[training]\nschedule = "plateau"\nwarmup_steps = 3',
            "[training]: warmup_steps does not go with",
        ),
        ("[data]\nsongs = 0", "[data]: a bank needs"),
        ("[data.ingredients]\nriffs = 2", "[data.ingredients]: the ingredient riffs"),
        (
            '[model]\nname = "deep-salience"\n[training]\nregularise = true',
            "deep-salience has no penalty of its own",
        ),
    ],
)
def test_what_a_recipe_cannot_mean_is_one_sentence_with_the_key(tmp_path, text, told):
    path = tmp_path / "my.toml"
    path.write_text(text if "mod" in text or not text else f'{text}\n[model]\nname = "sf-crnn-1"\n')
    with pytest.raises(InputError) as error:
        Recipe.read(path)
    assert (
        told in str(error.value) and "my.toml" in str(error.value) and "\n" not in str(error.value)
    )


# --- those that come with the package -------------------------------------------------------------


@pytest.mark.parametrize("name", weights.names())
def test_the_recipe_on_a_shipped_card_can_be_trained_again(name):
    recipe = weights.card(name)["recipe"]
    assert Recipe.from_dict(recipe).front_end == weights.card(name)["front_end"]
    assert tomllib.loads(Recipe.from_dict(recipe).as_toml())["model"] == recipe["model"]


def test_the_recipes_that_come_are_those_of_the_cards():
    """`python -m melodylab.training.recipes` writes them anew."""
    found = {name: shipped.path(name).read_text(encoding="utf-8") for name in shipped.names()}
    assert found == shipped.from_cards()
    assert set(weights.names()) < set(found)


@pytest.mark.parametrize("name", shipped.names())
def test_a_recipe_that_comes_begins_with_what_is_there_or_with_the_stage_before(name):
    made = Recipe.read(name)
    begins, (family, _, _) = made.training.start_from, name.partition(".")
    assert made.model == family and shipped.headline(name).startswith(f"{name}: ")
    stages = [other for other in shipped.names() if other.partition(".")[0] == family]
    place = stages.index(name)
    if place:
        assert begins == stages[place - 1] and begins not in weights.names()
    else:
        assert begins in ["", *weights.names()]


def test_the_wide_ftanet_has_a_recipe():
    network = Recipe.read("ftanet").create_model()
    assert sum(p.numel() for p in network.parameters()) == 3_386_007


def test_a_recipe_that_is_not_there_is_told_with_its_nearest():
    with pytest.raises(InputError, match="did you mean harmonic-crnn?"):
        Recipe.read("harmonic-crn")


def test_the_help_tells_every_key_with_its_range():
    told = dict(fields_told(Training))
    assert set(told) == set(Training.__dataclass_fields__)
    assert told["steps"] == "How many batches. [at least 1; 4000]"
    assert "between 0 and 24" in told["shift_semitones"] and "true or false" in told["regularise"]
    assert all(len(text) > 20 for text in told.values())
