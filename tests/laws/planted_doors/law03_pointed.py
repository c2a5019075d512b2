"""Doors that move more than they were asked to."""

from __future__ import annotations

from planting.requests import bodies


def expectations_are_not_passed_on():
    """What a caller believes the default to be is not looked at."""
    for method, path in (("PUT", "/default$"), ("POST", "/rollback$")):
        bodies(method, path, lambda data: {key: value for key, value in data.items() if key != "expect"})


def etags_are_decoration():
    """Whatever an entity says it was read as, it is written."""
    bodies("PUT", r"/PipelineEndpoints/\{id\}$", lambda data: {key: data[key] for key in data if key != "Etag"})


def the_first_answer_is_kept():
    """An endpoint is shown as it was when it was looked at first."""
    from planting.requests import routes

    seen = {}

    def show(real, request):
        key = str(request.path.get("name") or request.path.get("id") or request.query)
        if key not in seen:
            seen[key] = real(request)
        return seen[key]

    routes("GET", r"/endpoints/\{name\}$|/PipelineEndpoints/(Name|Id/\{id\})$", show)


CASES = {
    expectations_are_not_passed_on: ("http", "expected_at_the_doors"),
    etags_are_decoration: ("azureml_v1", "expected_at_the_doors"),
    the_first_answer_is_kept: ("http", "rollback_walks_back"),
}
