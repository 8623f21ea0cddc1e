"""The quadratic penalty against its formula."""

from __future__ import annotations

import pytest
import torch

from clbench.functional.quadratic import merge_quadratics, quadratic, quadratic_penalty


def tensors(seed, rows=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return {
        "head": torch.rand(rows, 3, generator=generator, dtype=dtype),
        "bias": torch.rand(rows, generator=generator, dtype=dtype),
    }


def test_value_by_hand():
    penalty = quadratic_penalty(
        {"w": torch.tensor([1.0, 4.0])}, {"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([3.0, 5.0])}
    )
    assert penalty.item() == pytest.approx(0.5 * (3 * 1 + 5 * 4))


def test_without_importances_every_weight_counts_once():
    weights, anchors = tensors(0), tensors(1)
    ones = {name: torch.ones_like(value) for name, value in anchors.items()}
    assert torch.equal(quadratic_penalty(weights, anchors), quadratic_penalty(weights, anchors, ones))


def test_zero_at_the_anchors_with_zero_gradient():
    weights = {name: value.requires_grad_() for name, value in tensors(0).items()}
    penalty = quadratic_penalty(weights, tensors(0), tensors(2))
    penalty.backward()
    assert penalty.item() == 0
    assert all((value.grad == 0).all() for value in weights.values())


def test_penalty_is_linear_in_the_importances():
    importances = tensors(2)
    doubled = {name: 2 * value for name, value in importances.items()}
    once, twice = (quadratic_penalty(tensors(0), tensors(1), which) for which in (importances, doubled))
    torch.testing.assert_close(twice, 2 * once)


def test_gradient_is_importance_times_distance():
    weights = {name: value.requires_grad_() for name, value in tensors(0).items()}
    anchors, importances = tensors(1), tensors(2)
    quadratic_penalty(weights, anchors, importances).backward()
    for name, value in weights.items():
        torch.testing.assert_close(value.grad, importances[name] * (value.detach() - anchors[name]))
    assert torch.autograd.gradcheck(
        lambda w: quadratic_penalty({"head": w}, {"head": anchors["head"]}), weights["head"]
    )


def test_rows_that_a_grown_head_added_are_free():
    grown = {name: value.requires_grad_() for name, value in tensors(0, rows=4).items()}
    old = {name: value[:2].detach() for name, value in grown.items()}
    penalty = quadratic_penalty(grown, tensors(1), tensors(2))
    torch.testing.assert_close(penalty, quadratic_penalty(old, tensors(1), tensors(2)))
    penalty.backward()
    assert all((value.grad[2:] == 0).all() for value in grown.values())


def test_parameters_without_an_anchor_are_free():
    more = {**tensors(0), "new": torch.ones(5)}
    assert torch.equal(quadratic_penalty(more, tensors(1)), quadratic_penalty(tensors(0), tensors(1)))


def test_computed_in_float32_under_autocast():
    weights, anchors = tensors(0, dtype=torch.float32), tensors(1, dtype=torch.float32)
    outside = quadratic_penalty(weights, anchors)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quadratic_penalty(weights, anchors), outside)
    low = {name: value.bfloat16() for name, value in weights.items()}
    assert quadratic_penalty(low, anchors).dtype == torch.float32


@pytest.mark.parametrize(
    ("weights", "anchors", "importances", "match"),
    [
        ({}, {}, None, "no anchors"),
        ({}, {"a": torch.ones(2)}, None, "'a' has an anchor"),
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}, {}, "'a' has an anchor"),
        ({"a": torch.ones(2)}, {"a": torch.ones(3)}, None, "do not match"),
        ({"a": torch.ones(2, 3)}, {"a": torch.ones(2, 4)}, None, "do not match"),
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}, {"a": torch.ones(1)}, "do not match"),
    ],
)
def test_what_does_not_fit_is_refused(weights, anchors, importances, match):
    with pytest.raises(ValueError, match=match):
        quadratic_penalty(weights, anchors, importances)


def test_merged_quadratics_are_their_sum_everywhere():
    first, second, third = (quadratic(tensors(seed), tensors(seed + 10)) for seed in (1, 2, 3))
    merged = merge_quadratics(merge_quadratics(first, second), third)
    for seed in (20, 21):
        weights = {name: (5 * value).requires_grad_() for name, value in tensors(seed).items()}
        whole, parts = merged(weights), first(weights) + second(weights) + third(weights)
        torch.testing.assert_close(whole, parts)
        for ours, theirs in zip(
            *(torch.autograd.grad(value, [*weights.values()]) for value in (whole, parts)), strict=True
        ):
            torch.testing.assert_close(ours, theirs)


def test_merging_keeps_rows_that_grew_later_at_the_later_anchor():
    old, new = quadratic(tensors(1), tensors(2)), quadratic(tensors(3, rows=4), tensors(4, rows=4))
    merged = merge_quadratics(old, new)
    assert merged.anchors["head"][2:].equal(new.anchors["head"][2:])
    weights = tensors(5, rows=4)
    torch.testing.assert_close(merged(weights), old(weights) + new(weights))


def test_merging_weights_that_matter_to_no_task_is_finite():
    nothing = quadratic({"w": torch.ones(2)}, {"w": torch.zeros(2)})
    other = quadratic({"w": torch.zeros(2)}, {"w": torch.zeros(2)})
    merged = merge_quadratics(nothing, other)
    assert merged({"w": torch.full((2,), 7.0)}).item() == 0
    assert merged.anchors["w"].isfinite().all()
