"""The radio model behaves as a dock does."""

from __future__ import annotations

from random import Random
from statistics import mean, stdev

from gateway.simulation.radio import Antenna, Radio, RadioConfig, antenna_gain

#: An antenna at the origin that looks along x.
ANTENNA = Antenna(1, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0))
FREQUENCY_KHZ = 866_300
CALM = RadioConfig(shadowing_db=0.0, miss=0.0)


def rate(distance: float, config: RadioConfig = CALM, attenuation: float = 0.0, attempts: int = 600) -> float:
    radio = Radio(config, "seed", Random(3))
    link = radio.link_db(ANTENNA, "E" * 24, (distance, 0.0, 0.0), attenuation)
    return sum(radio.attempt(link, 30.0, distance, FREQUENCY_KHZ) is not None for _ in range(attempts)) / attempts


def test_read_probability_falls_smoothly_with_distance() -> None:
    rates = [rate(distance) for distance in (1.0, 4.0, 5.5, 6.5, 12.0)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.99
    assert 0.05 < rates[3] < 0.95
    assert rates[-1] == 0.0


def test_strength_falls_with_both_ways_of_the_path() -> None:
    radio = Radio(CALM, "seed", Random(3))

    def strengths(distance: float) -> list[float]:
        link = radio.link_db(ANTENNA, "A", (distance, 0.0, 0.0), 0.0)
        answers = [radio.attempt(link, 30.0, distance, FREQUENCY_KHZ) for _ in range(500)]
        return [answer.strength / 100 for answer in answers if answer]

    near, far = strengths(1.0), strengths(10**0.5)
    assert 28 < mean(near) - mean(far) < 32  # half a decade, 30 dB per decade, both ways
    assert 2 < stdev(near) < 6
    assert -40 < mean(near) < -20


def test_the_lobe_looks_forward() -> None:
    front, edge, back = (antenna_gain(ANTENNA, point) for point in ((2.0, 0, 0), (0.0, 2.0, 0), (-2.0, 0, 0)))
    assert front == 6.0
    assert front > edge >= back == 6.0 - 18.0
    half = antenna_gain(ANTENNA, (1.0, 0.7002, 0.0))  # 35 degrees off: half the beamwidth
    assert abs(front - half - 3.0) < 0.01


def test_liquid_and_metal_shorten_the_range() -> None:
    assert rate(4.0) > rate(4.0, attenuation=6.0) > rate(4.0, attenuation=10.0)


def test_misses_are_the_share_asked_for() -> None:
    assert abs(rate(1.0, RadioConfig(shadowing_db=0.0, miss=0.35), attempts=4_000) - 0.65) < 0.03


def test_shadowing_belongs_to_tag_and_antenna_and_not_to_the_order_of_asking() -> None:
    config = RadioConfig(shadowing_db=3.0)
    one, two = Radio(config, "seed", Random(1)), Radio(config, "seed", Random(2))
    names = [f"{number:024X}" for number in range(300)]
    links = {name: one.link_db(ANTENNA, name, (3.0, 0, 0), 0.0) for name in names}
    assert links == {name: two.link_db(ANTENNA, name, (3.0, 0, 0), 0.0) for name in reversed(names)}
    assert 2.5 < stdev(links.values()) < 3.5
    assert Radio(config, "other", Random(1)).link_db(ANTENNA, names[0], (3.0, 0, 0), 0.0) != links[names[0]]


def test_phase_turns_twice_per_wavelength_of_approach() -> None:
    radio = Radio(CALM, "seed", Random(4))
    wavelength = 299_792_458 / (FREQUENCY_KHZ * 1_000)
    phases: list[int] = []
    for distance in (2.0, 2.0 + wavelength / 2):
        answer = radio.attempt(-20.0, 30.0, distance, FREQUENCY_KHZ)
        assert answer is not None
        phases.append(answer.phase)
    assert min((phases[0] - phases[1]) % 4096, (phases[1] - phases[0]) % 4096) < 300
