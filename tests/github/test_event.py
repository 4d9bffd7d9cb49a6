import json

import pytest

from npugate.github import event
from npugate.github.event import Event, EventError

BASE, HEAD = "b" * 40, "a" * 40


def pull_request(head_repository):
    return {
        "pull_request": {
            "number": 7,
            "base": {"sha": BASE, "repo": {"full_name": "octo/models"}},
            "head": {"sha": HEAD, "repo": head_repository},
        }
    }


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        (
            "pull_request",
            pull_request({"full_name": "Octo/models"}),
            Event("pull_request", 7, BASE, HEAD),
        ),
        (
            "pull_request",
            pull_request({"full_name": "stranger/models"}),
            Event("pull_request", 7, BASE, HEAD, is_fork=True),
        ),
        ("pull_request", pull_request(None), Event("pull_request", 7, BASE, HEAD, is_fork=True)),
        (
            "merge_group",
            {"merge_group": {"base_sha": BASE, "head_sha": HEAD}},
            Event("merge_group", base=BASE, head=HEAD),
        ),
        ("push", {"before": BASE, "after": HEAD}, Event("push", base=BASE, head=HEAD)),
        ("push", {"before": "0" * 40, "after": HEAD}, Event("push", head=HEAD)),
        ("schedule", {"schedule": "0 0 * * *"}, Event("schedule")),
        ("workflow_dispatch", {"inputs": None}, Event("workflow_dispatch")),
    ],
)
def test_an_event_is_read(tmp_path, name, payload, expected):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(payload))
    found = event.read({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path)})
    assert found == expected


def test_outside_of_github_there_is_no_event():
    assert event.read({}) == Event("")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_event_file_is_no_event_that_changed_nothing(tmp_path, content):
    path = tmp_path / "event.json"
    path.write_bytes(content)
    with pytest.raises(EventError, match=r"event\.json"):
        event.read({"GITHUB_EVENT_PATH": str(path)})
