"""Compiled forms against PyTorch's, and what happens where they cannot be had."""

from __future__ import annotations

import copy
import ctypes
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from avzsl.nn import compiled, products
from avzsl.nn.compiled import _build, _check
from avzsl.nn.convolution import halving_convolution
from avzsl.nn.gate import _fast_statistics, batch_statistics, normalised_gate
from avzsl.nn.lif import LifParameters, LifState, lif
from avzsl.nn.spiking import SpikingConfig, SpikingEncoder
from avzsl.nn.threshold import ThresholdRule, dynamic_lif

needs_library = pytest.mark.skipif(not compiled.status()[0], reason=compiled.status()[1])


def _close(ours: Tensor, theirs: Tensor, tolerance: float) -> bool:
    return float((ours - theirs).abs().max()) <= tolerance * max(1e-6, float(theirs.abs().max()))


def _in_three_forms(run: Callable[[bool], tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Plain, fast in PyTorch, fast in compiled code."""
    found = []
    for fast, library in ((False, False), (True, False), (True, True)):
        with ExitStack() as stack:
            if not library:
                stack.enter_context(compiled.without())
            found.append(run(fast))
    return found


@needs_library
@settings(max_examples=40, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 7, 33]),
    segments=st.integers(1, 4),
    positions=st.sampled_from([16, 24, 64, 136]),
    channels=st.integers(2, 9),
    time_steps=st.integers(1, 6),
    reset=st.sampled_from(["hard", "soft", "none"]),
    detach=st.booleans(),
    surrogate=st.sampled_from(compiled.SURROGATE_KINDS),
    dynamic=st.booleans(),
    training=st.booleans(),
    double=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_a_whole_encoder_has_the_same_spikes_and_gradients_in_all_forms(
    rows: int,
    segments: int,
    positions: int,
    channels: int,
    time_steps: int,
    reset: str,
    detach: bool,
    surrogate: str,
    dynamic: bool,
    training: bool,
    double: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    settings = {"time_steps": time_steps, "channels": channels, "positions": positions, "surrogate": surrogate}
    settings |= {"reset": reset, "detach_reset": detach, "dynamic_threshold": dynamic}
    encoders = {fast: SpikingEncoder(positions, SpikingConfig(**settings, fast=fast)) for fast in (False, True)}  # type: ignore[arg-type]
    encoders[True].load_state_dict(encoders[False].state_dict())
    features = torch.randn(rows, segments, positions, dtype=dtype)
    weights = torch.randn(rows, encoders[True].width, dtype=dtype)

    def run(fast: bool) -> tuple[Tensor, ...]:
        encoder = copy.deepcopy(encoders[fast]).to(dtype).train(training)
        inputs = features.clone().requires_grad_()
        out = encoder(inputs)
        gradients = torch.autograd.grad(
            (out.summary * weights).sum(), (inputs, *encoder.parameters()), allow_unused=True
        )
        assert all(found is not None for found in gradients)
        statistics = [value for name, value in encoder.state_dict().items() if "running" in name]
        return out.spikes.detach(), *out.rates, *statistics, *gradients  # type: ignore[arg-type]

    plain, torch_form, compiled_form = _in_three_forms(run)
    exact = 1 + 3
    for form in (torch_form, compiled_form):
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(form[:exact], plain[:exact], strict=True))
        # against the largest of all gradients: those before a batch norm may cancel to nothing
        largest = max(float(theirs.abs().max()) for theirs in plain[exact:])
        for ours, theirs in zip(form[exact:], plain[exact:], strict=True):
            assert float((ours - theirs).abs().max()) <= (1e-11 if double else 1e-5) * largest


@needs_library
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 5), st.sampled_from([1, 3, 40]), st.sampled_from([1, 16, 17, 300])),
    tau=st.sampled_from([1.0, 1.7, 2.0, 4.0]),
    reset=st.sampled_from(["hard", "soft", "none"]),
    detach=st.booleans(),
    surrogate=st.sampled_from(compiled.SURROGATE_KINDS),
    alpha=st.sampled_from([None, 3.0]),
    use_last=st.booleans(),
    double=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_neurons_with_a_fixed_threshold_are_the_same_in_all_forms(
    sizes: tuple[int, int, int],
    tau: float,
    reset: str,
    detach: bool,
    surrogate: str,
    alpha: float | None,
    use_last: bool,
    double: bool,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float64 if double else torch.float32
    params = LifParameters(tau, -0.1, 0.05, reset, detach, surrogate, alpha)  # type: ignore[arg-type]
    current = torch.randn(sizes, generator=generator, dtype=dtype).add(0.7).requires_grad_()
    membrane = torch.randn(sizes[1:], generator=generator, dtype=dtype).requires_grad_()
    weights = torch.randn(sizes, generator=generator, dtype=dtype)

    def run(fast: bool) -> tuple[Tensor, ...]:
        out = lif(current, params, 0.6, LifState(membrane), fast)
        loss = (out.spikes * weights).sum() + (out.state.membrane.square().sum() if use_last else 0)
        found = torch.autograd.grad(loss, (current, membrane))
        return out.spikes.detach(), out.charged.detach(), out.state.membrane.detach(), *found

    plain, torch_form, compiled_form = _in_three_forms(run)
    # where 1 / tau is no power of two, PyTorch itself rounds the end of a tensor otherwise than its middle
    same = torch.equal if tau in (1.0, 2.0, 4.0) else lambda a, b: _close(a, b, 1e-6)
    for form in (torch_form, compiled_form):
        assert all(same(ours, theirs) for ours, theirs in zip(form[:3], plain[:3], strict=True))
        assert all(_close(ours, theirs, 1e-5) for ours, theirs in zip(form[3:], plain[3:], strict=True))
    with compiled.without():
        assert lif(current, params, 0.6, LifState(membrane), True, keep_charged=False).charged.numel() > 0
    assert lif(current, params, 0.6, LifState(membrane), True, keep_charged=False).charged.numel() == 0


@needs_library
def test_the_number_of_threads_changes_no_bit() -> None:
    torch.manual_seed(0)
    encoder = SpikingEncoder(64, SpikingConfig(positions=64, time_steps=4))
    features, before, found = torch.randn(70, 1, 64), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            values = halving_convolution(features, encoder.blocks[0].weight)  # type: ignore[arg-type]
            (to_weight,) = torch.autograd.grad(values.square().sum(), encoder.blocks[0].weight)  # type: ignore[arg-type]
            current = torch.rand(2, 70, 3, 20, generator=torch.Generator().manual_seed(1)).mul(2).requires_grad_()
            run = dynamic_lif(current, torch.ones(2, 70, 3, 1), (0, 0, 1, 1), LifParameters(), ThresholdRule())
            (to_current,) = torch.autograd.grad(run.spikes.sum(), current)
            found.append((values, to_weight, run.spikes, to_current))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(other, found[0], strict=True))


@needs_library
def test_gaps_in_tensors_and_missing_numbers_are_no_trouble() -> None:
    current = torch.randn(6, 5, 4, 3).transpose(0, 2)[:, ::2]  # [4, 3, 6, 3], not contiguous
    gate = torch.rand(4, 3, 6, 2)[..., :1]
    weight = torch.randn(4, 2, 3).transpose(1, 2)
    inputs = torch.randn(3, 8, 5).permute(2, 0, 1)
    for keep in (False, True):
        ours = dynamic_lif(current, gate, (0, 1, 2, 3), LifParameters(), ThresholdRule(), True, keep)
        theirs = dynamic_lif(current, gate, (0, 1, 2, 3), LifParameters(), ThresholdRule(), False)
        assert torch.equal(ours.spikes, theirs.spikes)
    assert torch.equal(
        halving_convolution(inputs, weight[..., :1].expand(-1, -1, 4)),
        halving_convolution(inputs, weight[..., :1].expand(-1, -1, 4), False),
    )
    broken = torch.full((1, 2, 2, 4), torch.nan)
    assert dynamic_lif(broken, torch.ones(1, 2, 2, 1), (0, 0), LifParameters(), ThresholdRule()).spikes.sum() == 0
    assert halving_convolution(torch.zeros(0, 3, 8), torch.randn(2, 3, 4)).shape == (0, 2, 4)


def test_a_surrogate_without_compiled_form_takes_the_other_way() -> None:
    current = torch.rand(2, 3, 2, 4, requires_grad=True)
    run = dynamic_lif(current, torch.ones(2, 3, 2, 1), (0, 1), LifParameters(surrogate="sigmoid"), ThresholdRule())
    assert "Compiled" not in type(run.spikes.grad_fn).__name__
    if compiled.status()[0]:
        run = dynamic_lif(current, torch.ones(2, 3, 2, 1), (0, 1), LifParameters(), ThresholdRule())
        assert "Compiled" in type(run.spikes.grad_fn).__name__


def _status(tmp_path: Path, **environment: str) -> str:
    """What a fresh process says, with its own cache folder."""
    code = (
        "import torch; from avzsl.nn import compiled; from avzsl.nn.convolution import halving_convolution as h;"
        "torch.inference_mode().__enter__(); h(torch.ones(1, 1, 8), torch.ones(1, 1, 4)); print(*compiled.status())"
    )
    own = os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | environment
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_a_compiler_or_when_switched_off_pytorch_does_the_work(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
    broken.chmod(broken.stat().st_mode | stat.S_IEXEC)
    assert _status(tmp_path, AVZSL_KERNELS="off") == "False switched off by AVZSL_KERNELS"
    assert _status(tmp_path, CC=str(broken)) == f"False {broken} failed: no such luck"
    assert _status(tmp_path, CC="there-is-no-such-compiler").startswith("False no C compiler found")


@needs_library
def test_a_library_is_compiled_once_and_a_damaged_one_again(tmp_path: Path) -> None:
    assert _status(tmp_path).startswith("True compiled by")
    (kept,) = tmp_path.rglob("*.so")
    assert _status(tmp_path) == f"True {kept.name}, from the cache"
    kept.unlink()
    kept.write_bytes(b"damaged")
    assert _status(tmp_path).startswith("True compiled by")
    assert [path.name for path in tmp_path.rglob("*.so")] == [kept.name]


@needs_library
def test_a_library_that_computes_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = {
        "u >= threshold ? 1 : 0": "u > threshold - 1e-3f ? 1 : 0",
        "sum[k] = sum[k] + tap[2] * x2;": "sum[k] = sum[k] + tap[1] * x2;",
        "const REAL to_u = to_x + kept;": "const REAL to_u = to_x;",
        "total += value;": "",
        "even += tap[1] * here + tap[3] * LOAD(now - 1);": "even += tap[1] * here;",
    }
    text = _build.SOURCE.read_text()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(_build, "OPTIONS", ("-O1", *_build.OPTIONS[1:]))
    monkeypatch.setattr(_build, "EXTRAS", ((),))
    for number, (right, wrong) in enumerate(faults.items()):
        assert text.count(right) == 1
        source = tmp_path / f"fault{number}" / "spiking.c"
        source.parent.mkdir()
        source.write_text(text.replace(right, wrong))
        monkeypatch.setattr(_build, "SOURCE", source)
        library = _build.build().library
        assert isinstance(library, ctypes.CDLL)
        assert _check.differences(library) != "", wrong


@needs_library
def test_a_library_cut_short_or_open_to_others_is_not_loaded(tmp_path: Path) -> None:
    assert _status(tmp_path).startswith("True compiled by")
    (kept,) = tmp_path.rglob("*.so")
    whole = kept.read_bytes()
    kept.unlink()  # not overwritten: somebody may have it loaded
    kept.write_bytes(whole[: len(whole) // 2])  # its head is in order; loading it ends the process
    assert _status(tmp_path).startswith("True compiled by")
    kept.chmod(0o777)
    assert _status(tmp_path).startswith("True compiled by")
    assert _status(tmp_path) == f"True {kept.name}, from the cache"
    kept.parent.chmod(0o777)
    (scratch := tmp_path / "scratch").mkdir()
    assert _status(tmp_path, TMPDIR=str(scratch)).startswith("True compiled by")
    assert not list(scratch.iterdir())  # what was compiled aside goes again


def test_a_cache_folder_is_absolute_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert _build.cache_folder() == tmp_path / "home" / ".cache" / "avzsl" / "kernels"
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # a user without a home
    folder = _build._own_folder()
    folder.rmdir()
    assert folder.is_absolute() and not list(tmp_path.iterdir())


@needs_library
def test_compiled_code_never_reads_past_a_tensor() -> None:
    for inputs, weight in (((1, 3, 8), (2, 1, 4)), ((1, 1, 8), (2, 1, 3)), ((1, 1, 7), (2, 1, 4)), ((3, 8), (2, 3, 4))):
        with pytest.raises(ValueError, match="please"):
            halving_convolution(torch.ones(inputs), torch.ones(weight))
    values, beta = torch.randn(3, 4, 8), torch.tensor(0.4)
    with pytest.raises(RuntimeError, match="size"):
        normalised_gate(values, nn.BatchNorm1d(2).eval(), beta)
    ours, theirs = (
        normalised_gate(values, nn.BatchNorm1d(4).double().eval(), beta, fast=fast)[0] for fast in (True, False)
    )
    assert _close(ours.detach(), theirs.detach(), 1e-6)
    current, gate = torch.rand(2, 3, 4, 5).mul(2), torch.rand(2, 3, 1, 1)  # one gate for all channels
    ours, theirs = (
        dynamic_lif(current, gate, (0, 1), LifParameters(), ThresholdRule(), fast)[0] for fast in (True, False)
    )
    assert torch.equal(ours, theirs)
    for steps in ((0, 5), (1, 0), (0, 0), (-1, 0)):
        with pytest.raises(ValueError, match="ascending"):
            dynamic_lif(current, torch.rand(2, 3, 4, 1), steps, LifParameters(), ThresholdRule())


@needs_library
def test_gradients_may_be_taken_where_compiled_code_is_switched_off_meanwhile() -> None:
    current = torch.rand(2, 3, 4, 5).mul(2).requires_grad_()
    runs = (
        dynamic_lif(current, torch.ones(2, 3, 4, 1), (0, 1), LifParameters(), ThresholdRule()).spikes,
        lif(current, LifParameters(), 0.5, fast=True).spikes,
    )
    for spikes in runs:
        (wanted,) = torch.autograd.grad(spikes.sum(), current, retain_graph=True)
        with compiled.without():
            assert torch.equal(torch.autograd.grad(spikes.sum(), current)[0], wanted)


@needs_library
def test_tensors_without_numbers_are_for_pytorch() -> None:
    encoder = SpikingEncoder(64, SpikingConfig(positions=64)).eval()
    real = torch.randn(2, 3, 64)
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        assert compiled.library_for(torch.randn(3)) is None and compiled.library_for(real) is None
        assert encoder(torch.randn(2, 3, 64)).summary.shape == (2, encoder.width)


@needs_library
@pytest.mark.parametrize("how", ["torch.set_default_device('meta')", "torch.set_default_dtype(torch.float16)"])
def test_the_check_does_not_depend_on_defaults(how: str) -> None:
    code = f"import torch; {how}; from avzsl.nn import compiled, products; print(compiled.status(), products.status())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert found.startswith("(True") and found.count("(True") == 1 + products.status()[0]


@needs_library
def test_one_thread_does_not_use_what_another_one_is_testing() -> None:
    library = compiled.library_for(torch.ones(1))
    with compiled.using(ctypes.CDLL(None)), ThreadPoolExecutor(1) as other:
        assert other.submit(compiled.library_for, torch.ones(1)).result() is library


@needs_library
@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_a_large_mean_costs_the_variance_no_digits(offset: float) -> None:
    values = torch.randn(50, 3, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + offset
    for ours, theirs in zip(_fast_statistics(values), batch_statistics(values), strict=True):
        assert _close(ours, theirs, 1e-12)
    assert _fast_statistics(torch.full_like(values, 0.1 + offset))[1].count_nonzero() == 0
