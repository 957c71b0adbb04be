"""Wrong settings stop the start with one line that names the variable."""

from pathlib import Path

import pytest

from fercore.service.settings import load
from services.allinone.settings import AllInOneSettings
from services.classifier.settings import ClassifierSettings
from services.detector.settings import DetectorSettings
from services.gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("FER_PORT", "70000", "less than or equal to 65535"),
        ("FER_LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("FER_MODEL", "Über/../x", "^[a-z0-9_]{1,64}$"),
        ("FER_MAX_INFLIGHT", "none", "valid integer"),
        ("FER_PRIOR", "joy:1", "'joy' is none of the emotions neutral, happiness"),
        ("FER_PRIOR", "auto", "auto is for live streams only"),
        ("FER_ALLOWED_ORIGINS", "https://a.example/page", "must be origins"),
        ("FER_LIVE_DEADLINE_S", "0", "greater than 0"),
        ("FER_ALERTS", "none", "must be a JSON list of rules: Invalid JSON"),
        ("FER_ALERTS", "{}", "must be a JSON list of rules: "),
        ("FER_ALERTS", '[{"share": 2}]', "0.share: Input should be less than or equal to 1"),
        ("FER_ALERTS", '[{"emotions": ["joy"]}]', "0.emotions.0: Input should be 'neutral'"),
        ("FER_ALERTS", '[{"name": "a"}, {"name": "a"}]', "two rules have the same name"),
        ("FER_SESSION_LIFETIME_S", "1", "greater than or equal to 60"),
        ("FER_WEBHOOK_ATTEMPTS", "0", "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(monkeypatch, variable, value, allowed):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as stop:
        load(GatewaySettings)
    line = str(stop.value)
    assert "\n" not in line
    assert f"{variable}={value!r}" in line
    assert allowed in line


def test_a_backend_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setenv("FER_BACKEND", "tensorflow")
    with pytest.raises(SystemExit, match=r"FER_BACKEND='tensorflow'.*'triton' or 'onnxruntime'"):
        load(ClassifierSettings)


@pytest.mark.parametrize(("px", "allowed"), [("63", "equal to 64"), ("2561", "equal to 2560")])
def test_a_size_that_no_detector_would_be_shown_is_refused(monkeypatch, px, allowed):
    monkeypatch.setenv("FER_DETECT_SIZE_PX", px)
    with pytest.raises(SystemExit, match=f"FER_DETECT_SIZE_PX='{px}'.*{allowed}"):
        load(DetectorSettings)


def test_the_environment_is_read_and_the_defaults_are_safe(monkeypatch):
    monkeypatch.setenv("FER_PORT", "9999")
    monkeypatch.setenv("FER_PRIOR", "uniform")
    settings = load(AllInOneSettings)
    assert settings.port == 9999
    assert settings.prior == "uniform"
    assert settings.host == "127.0.0.1"
    assert settings.backend == "onnxruntime"


def test_origins_are_listed_with_commas(monkeypatch):
    monkeypatch.setenv("FER_ALLOWED_ORIGINS", "https://A.example, http://b:8000,")
    assert load(GatewaySettings).allowed_origins == ("https://a.example", "http://b:8000")


@pytest.mark.parametrize(
    "url",
    [
        "foo",
        "redis://h:abc",
        "redis://:pa55/word@host",
        "http://host",
        "redis://:sécret℀x@h",
        "redis://h/0?db=x",
        "redis://:12/s@h:1/0",
        "unix://tmp/x",
        "",
    ],
)
def test_a_wrong_redis_url_is_named_and_not_shown(monkeypatch, url):
    monkeypatch.setenv("FER_REDIS_URL", url)
    with pytest.raises(SystemExit) as stop:
        load(GatewaySettings)
    assert str(stop.value).startswith("wrong setting: FER_REDIS_URL=(secret): must be redis://")
    assert "pa55" not in str(stop.value)


@pytest.mark.parametrize(
    "url", ["redis://redis:6379/0", "rediss://:p%40s%2Fs@h", "unix:///run/redis.sock?db=2"]
)
def test_a_right_redis_url_is_taken(url):
    assert GatewaySettings(redis_url=url).redis_url.get_secret_value() == url


def test_a_detector_that_does_not_exist_is_refused_with_those_that_do(monkeypatch):
    monkeypatch.setenv("FER_DETECTOR", "nobody")
    with pytest.raises(SystemExit, match=r"FER_DETECTOR='nobody': must be one of: .*haar"):
        load(DetectorSettings)


def test_a_secret_is_not_shown():
    assert "hunter2" not in repr(GatewaySettings(redis_url="redis://:hunter2@127.0.0.1/0"))


@pytest.fixture
def secrets(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FER_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_secret_may_stand_in_a_file_which_counts_before_its_variable(monkeypatch, secrets):
    (secrets / "fer_redis_url").write_text("redis://:hunter2@queue:6379/0\n")
    monkeypatch.setenv("FER_REDIS_URL", "redis://other")
    monkeypatch.setenv("FER_STATE_URL", "redis://state")
    settings = load(GatewaySettings)
    assert settings.redis_url.get_secret_value() == "redis://:hunter2@queue:6379/0"
    assert settings.state_url.get_secret_value() == "redis://state"


def test_only_secrets_are_read_from_files(secrets):
    (secrets / "fer_port").write_text("9999")
    assert load(GatewaySettings).port == 8080


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"pa55/word", "must be redis://"),
        (b"redis://:pa55\xff@host", "is no text"),
        (b"", "must be redis://"),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_a_wrong_file_is_named_and_not_shown(secrets, content, reason):
    file = secrets / "fer_redis_url"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(SystemExit) as stop:
        load(GatewaySettings)
    line = str(stop.value)
    assert line.startswith(f"wrong setting: {file}: {reason}")
    assert "\n" not in line
    assert "pa55" not in line


def test_a_folder_of_secrets_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("FER_SECRETS_DIR", "/nowhere/at/all")
    with pytest.raises(SystemExit, match=r"^wrong setting: FER_SECRETS_DIR='/nowhere/at/all': there is no"):
        load(GatewaySettings)


def test_every_setting_is_documented():
    for settings in (GatewaySettings, ClassifierSettings, AllInOneSettings):
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"
