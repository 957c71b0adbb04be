"""Wrong settings of sessions stop the start with one line that names the variable and shows no secret."""

import pytest

from fercore.contracts.live import AlertRule
from fercore.service.settings import load
from services.allinone.settings import AllInOneSettings
from services.gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    "url", ["http://hooks.example/t0ken", "t0ken", "https:///t0ken", "https://h:x/t0ken"]
)
def test_a_webhook_is_https_and_not_shown(monkeypatch, url):
    monkeypatch.setenv("FER_WEBHOOK_URL", url)
    monkeypatch.setenv("FER_WEBHOOK_SECRET", "s")
    with pytest.raises(SystemExit) as stop:
        load(GatewaySettings)
    assert str(stop.value) == "wrong setting: FER_WEBHOOK_URL=(secret): must be https://host[:port]/..."


def test_a_webhook_needs_a_secret(monkeypatch):
    monkeypatch.setenv("FER_WEBHOOK_URL", "https://hooks.example/t0ken")
    with pytest.raises(SystemExit, match=r"^wrong setting: FER_WEBHOOK_SECRET=\(secret\): must be set where"):
        load(GatewaySettings)


def test_a_webhook_of_an_intranet_may_be_plain(monkeypatch):
    monkeypatch.setenv("FER_WEBHOOK_URL", "http://10.0.0.1/t0ken")
    monkeypatch.setenv("FER_WEBHOOK_SECRET", "hunter2")
    monkeypatch.setenv("FER_WEBHOOK_ALLOW_PRIVATE", "true")
    settings = load(GatewaySettings)
    assert settings.webhook_url.get_secret_value() == "http://10.0.0.1/t0ken"
    assert "t0ken" not in repr(settings)
    assert "hunter2" not in repr(settings)


def test_a_wrong_state_url_is_named_and_not_shown(monkeypatch):
    monkeypatch.setenv("FER_STATE_URL", "redis://:pa55/word@host")
    with pytest.raises(SystemExit) as stop:
        load(GatewaySettings)
    assert str(stop.value).startswith("wrong setting: FER_STATE_URL=(secret): must be redis://")
    assert "pa55" not in str(stop.value)


def test_by_default_there_is_the_standard_rule_no_webhook_and_no_store(monkeypatch):
    monkeypatch.setenv("FER_STATE_URL", "")
    monkeypatch.setenv("FER_WEBHOOK_URL", "")
    settings = load(AllInOneSettings)
    assert settings.alerts == (AlertRule(),)
    assert settings.webhook_url.get_secret_value() == settings.state_url.get_secret_value() == ""


def test_rules_are_read_from_json(monkeypatch):
    monkeypatch.setenv("FER_ALERTS", '[{"name": "fear", "emotions": ["fear"], "window_s": 60}]')
    [rule] = load(GatewaySettings).alerts
    assert (rule.name, rule.window_s, rule.share) == ("fear", 60, 0.6)
    monkeypatch.setenv("FER_ALERTS", "[]")
    assert load(GatewaySettings).alerts == ()
