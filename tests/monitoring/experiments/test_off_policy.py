import numpy as np
import pytest

from src.contracts.errors import ConfigError
from src.monitoring.experiments.off_policy import doubly_robust, ips, snips

CONTEXTS, ACTIONS = 3, 4
SETUP = np.random.default_rng(11)
REWARD = SETUP.uniform(0.05, 0.6, (CONTEXTS, ACTIONS))
LOGGED = SETUP.dirichlet(np.full(ACTIONS, 2.0), CONTEXTS)
WANTED = SETUP.dirichlet(np.full(ACTIONS, 2.0), CONTEXTS)
TRUTH = float((WANTED * REWARD).sum(axis=1).mean())


def log(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    context = rng.integers(0, CONTEXTS, rows)
    action = (rng.random((rows, 1)) > LOGGED[context].cumsum(axis=1)[:, :-1]).sum(axis=1)
    return context, action, (rng.random(rows) < REWARD[context, action]).astype(float)


def estimates(rows: int, seed: int, model: np.ndarray) -> tuple:
    context, action, reward = log(rows, seed)
    given = (reward, LOGGED[context, action], WANTED[context, action])
    expected = (WANTED * model).sum(axis=1)[context]
    return (
        ips(*given),
        snips(*given),
        doubly_robust(*given, predicted=model[context, action], expected=expected),
    )


def test_ips_has_exactly_the_policys_value_as_its_mean() -> None:
    # All contexts, actions and rewards, each with its probability: no simulation.
    mean = sum(
        LOGGED[x, a] / CONTEXTS * (p * ips(np.array([float(r)]), LOGGED[x, [a]], WANTED[x, [a]]).value)
        for x in range(CONTEXTS)
        for a in range(ACTIONS)
        for r, p in ((1, REWARD[x, a]), (0, 1 - REWARD[x, a]))
    )
    assert mean == pytest.approx(TRUTH)


@pytest.mark.parametrize("wrong", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(wrong: bool) -> None:
    # A wrong model costs DR width, not its truth.
    model = REWARD[:, ::-1] if wrong else REWARD
    held, width = np.zeros(3), np.zeros(3)
    for seed in range(300):
        found = estimates(5000, seed, model)
        held += [each.low <= TRUTH <= each.high for each in found]
        width += [each.high - each.low for each in found]
    assert (held >= 300 * 0.95 - 12).all(), held
    if not wrong:
        assert width[2] < width[1] < width[0]


def test_values_written_out() -> None:
    rewards, p, q = np.array([1.0, 0.0, 1.0]), np.array([0.5, 0.25, 0.5]), np.array([0.5, 0.5, 0.25])
    assert ips(rewards, p, q).value == pytest.approx((1 + 0 + 0.5) / 3)
    assert snips(rewards, p, q).value == pytest.approx(1.5 / 3.5)
    assert ips(rewards, p, q, clip=1.5).value == pytest.approx(1.5 / 3)
    dr = doubly_robust(rewards, p, q, predicted=np.full(3, 0.5), expected=np.array([0.1, 0.2, 0.3]))
    assert dr.value == pytest.approx(np.mean([0.1 + 0.5, 0.2 - 1.0, 0.3 + 0.25]))
    assert ips(rewards, p, q).effective == pytest.approx(3.5**2 / (1 + 4 + 0.25))


def test_the_same_policy_gives_the_mean_and_students_interval() -> None:
    rewards = np.random.default_rng(0).normal(2, 1, 50)
    half = np.full(50, 0.5)
    found = ips(rewards, half, half)
    reach = 2.009575 * rewards.std(ddof=1) / 50**0.5
    assert (found.low, found.high) == pytest.approx((rewards.mean() - reach, rewards.mean() + reach), rel=1e-5)


def test_clusters_are_the_units() -> None:
    rewards = np.repeat(np.random.default_rng(0).normal(0, 1, 40), 25)
    half, users = np.full(1000, 0.5), np.repeat(np.arange(40), 25)
    alone = ips(rewards, half, half)
    together = ips(rewards, half, half, clusters=users)
    assert together.high - together.low > 4 * (alone.high - alone.low)
    by_mean = ips(rewards[::25], half[::25], half[::25])
    assert together.high == pytest.approx(by_mean.high, rel=0.02)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (([], [], []), "0 rewards"),
        (([1.0], [0.0], [0.5]), "propensities: 0.0 in row 1"),
        (([1.0], [1.2], [0.5]), "propensities: 1.2"),
        (([1.0], [0.5], [-0.5]), "policy: -0.5"),
        (([np.nan], [0.5], [0.5]), "finite"),
        (([1.0], [np.nan], [0.5]), "propensities: nan"),
        (([1.0, 1.0], [0.5], [0.5]), "must be equal"),
    ],
)
def test_what_is_no_probability_is_refused(given: tuple, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        ips(*map(np.array, given))


def test_a_policy_that_shares_no_action_with_the_log() -> None:
    none = np.zeros(5)
    assert ips(np.ones(5), np.full(5, 0.5), none).effective == 0
    with pytest.raises(ConfigError, match="takes none"):
        snips(np.ones(5), np.full(5, 0.5), none)
    with pytest.raises(ConfigError, match=r"clip=0\.5"):
        ips(np.ones(5), np.full(5, 0.5), none, clip=0.5)
    with pytest.raises(ConfigError, match="2 predicted"):
        doubly_robust(np.ones(5), np.full(5, 0.5), none, predicted=np.ones(2), expected=np.ones(5))
