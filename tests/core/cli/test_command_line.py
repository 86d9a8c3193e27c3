from __future__ import annotations

import pytest

from core.cli.command_line import read_command_line
from core.errors import ConfigError


def test_options_and_overrides_part() -> None:
    line = read_command_line(["-m", "seed=1,2", "--cfg", "job", "--config-dir=mine", "-cd", "yours", "~data"])
    assert line.overrides == ["seed=1,2", "~data"]
    assert line.folders == ["mine", "yours"]
    assert (line.multirun, line.show_config, line.help, line.version) == (True, True, False, False)
    assert read_command_line(["-h"]).help
    assert read_command_line(["--version"]).version


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--halp"], "unknown option --halp; did you mean --help?"),
        (["--multi=3"], "unknown option --multi; did you mean --multirun?"),
        (["--cfg", "hydra"], "--cfg takes job: it shows the composed config"),
        (["--cfg"], "--cfg takes job: it shows the composed config"),
        (["--config-dir"], "--config-dir needs a folder with config groups of your own"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_command_line(words)
    assert caught.value.sentence == sentence
