"""What a trial of an outside benefit system sees."""

from __future__ import annotations

from pathlib import Path

from tactics.domain.provider import Provider
from tactics.domain.provider_document import provider_document
from tactics.flows import provider as flow
from tests.driving import Maker
from tests.provider.fixtures import simulating


def test_a_trial_calls_every_address_and_asks_for_no_grant(driven: Maker, tmp_path: Path) -> None:
    """Good and bad addresses are told apart, unsigned calls too, and the provider has been asked for nothing."""
    with simulating(tmp_path / "log", secret=(secret := "whsec_" + 43 * "A" + "=")) as wallet:
        closed = "http://127.0.0.1:1"
        drive = driven(outbound_hosts=(wallet.hosts, closed), outbound_networks=("127.0.0.0/8",))

        def tried(provider: Provider) -> dict[str, tuple[bool | None, str]]:
            flow.save(drive.runtime, provider_document(provider))
            drive.run("UPDATE provider SET signing_secrets = :secrets", secrets=list(provider.signing_secrets))
            return {one.what: (one.ok, one.text) for one in flow.try_out(drive.runtime, "wallet")}

        good = wallet.provider()
        assert good.signing_secrets == (secret,)
        seen = tried(good)
        assert {what: ok for what, (ok, _) in seen.items()} == {"url": True, "look_up_url": True, "list_url": True}
        assert "does not know" in seen["look_up_url"][1]
        assert seen["list_url"][1] == "it lists 0 of the last 60 s"
        unsigned = tried(wallet.provider(signing_secrets=()))
        assert (unsigned["look_up_url"][0], unsigned["list_url"][0]) == (False, False)
        assert "401" in unsigned["look_up_url"][1]
        # One that says yes to whatever it is asked about.
        liar = tried(wallet.provider(look_up_url=f"{wallet.base}/grants?id={{idempotency_id}}", list_url=None))
        assert liar["look_up_url"][0] is False
        assert liar["list_url"] == (None, "there is none: its grants cannot be compared with ours")
        away = tried(wallet.provider(url=f"{closed}/grants", look_up_url=None))
        assert away["url"][0] is False
        assert away["look_up_url"] == (None, "there is none: what is unclear is repeated under the same id")
        assert not [line for line in wallet.lines() if line["what"] in {"call", "effect"}]
    gone = {one.what: one.ok for one in flow.try_out(drive.runtime, "wallet")}
    assert gone == {"url": False, "look_up_url": None, "list_url": False}
