"""The pages beside the API."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx


def test_healthz_answers_and_every_answer_has_an_id(gateway: str) -> None:
    answer = httpx.get(f"{gateway}/healthz")
    assert answer.json() == {"status": "ok"}
    assert len(answer.headers["x-request-id"]) == 32


def test_readyz_says_which_engine_drew(gateway: str) -> None:
    assert httpx.get(f"{gateway}/readyz").json() == {"status": "ready", "engine": "onnx"}


def test_the_start_page_says_what_can_be_called(gateway: str) -> None:
    page = httpx.get(gateway).text
    assert f"curl -s {gateway}/v1/images/generations" in page
    name = httpx.get(f"{gateway}/v1/models").json()["data"][0]["id"]
    assert f"Model <b>{name}</b>" in page


def test_metrics_count_pictures_and_how_many_rows_shared_a_call(gateway: str) -> None:
    def ask(seed: int) -> int:
        body = {"prompt": "a girl", "seed": seed, "num_inference_steps": 2}
        return httpx.post(f"{gateway}/v1/images/generations", json=body, timeout=60).status_code

    before = metrics(gateway)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {200}
    after = metrics(gateway)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    route = '{route="/v1/images/generations",status="200"}'
    assert grown[f"luciole_requests_total{route}"] == 8
    assert grown["luciole_pictures_total"] == 8
    rows, calls = grown["luciole_engine_rows"], grown["luciole_engine_calls"]
    assert rows >= 8 * 2 * 2 + 8
    assert calls < rows / 2
    assert after["luciole_queue_pictures"] == 0


def test_metrics_say_how_many_jobs_wait_and_run_in_the_whole_service(gateway: str) -> None:
    before = metrics(gateway)
    body = {"prompt": "a girl", "numVariations": 1}
    for _ in range(3):  # nobody draws them: this gateway has no workers
        assert httpx.post(f"{gateway}/api/v1/generations", json=body).status_code == 202
    after = metrics(gateway)
    assert after["luciole_jobs_queued"] - before["luciole_jobs_queued"] == 3
    assert (after["luciole_jobs_running"], after["luciole_workers"]) == (0, 0)
    assert metrics(gateway)["luciole_jobs_waiting_seconds"] > after["luciole_jobs_waiting_seconds"]


def test_metrics_say_how_many_listen(gateway: str) -> None:
    with httpx.stream("GET", f"{gateway}/api/v1/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        until = time.monotonic() + 10
        while metrics(gateway)["luciole_listeners"] != 1:
            assert time.monotonic() < until
            time.sleep(0.02)


def metrics(gateway: str) -> dict[str, float]:
    lines = httpx.get(f"{gateway}/metrics").text.splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }
