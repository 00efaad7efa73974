"""Fits the polynomials of compiler/codegen/src/cpu/math and prints them as Rust, with the error of each.

Minimax by the exchange algorithm of Remez, in 60 digits: E. Remez, "Sur le calcul effectif des polynomes
d'approximation de Tchebichef", 1934. The error shown is that of the polynomial times the
weight given with it. Quotients of polynomials are fitted by least squares, whose weights grow where the error is large.
"""

import struct

import numpy as np
from mpmath import mp, mpf

mp.dps = 60


def remez(target, weight, count, low, high):
    """`count` coefficients c with the least maximum of |weight(x) * (target(x) - sum c[i] x^i)| on low..high."""
    low, high = mpf(low), mpf(high)
    nodes = [(low + high) / 2 - (high - low) / 2 * mp.cos(mp.pi * i / count) for i in range(count + 1)]
    grid = [low + (high - low) * (1 - mp.cos(mp.pi * i / 1200)) / 2 for i in range(1201)]
    facts = [(x, target(x), weight(x)) for x in grid]
    for _ in range(12):
        rows = [[x**i for i in range(count)] + [(-1) ** k / weight(x)] for k, x in enumerate(nodes)]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([target(x) for x in nodes]))
        c = [solved[i] for i in range(count)]
        errors = [(w * (t - mp.polyval(c[::-1], x)), x) for x, t, w in facts]
        runs = []
        for error, x in errors:
            if runs and (error > 0) == (runs[-1][0] > 0):
                runs[-1] = max(runs[-1], (error, x), key=lambda e: abs(e[0]))
            else:
                runs.append((error, x))
        while len(runs) > count + 1:
            runs.pop(0 if abs(runs[0][0]) < abs(runs[-1][0]) else -1)
        if len(runs) < count + 1:
            break
        nodes = [x for _, x in runs]
        if max(abs(e) for e, _ in runs) < min(abs(e) for e, _ in runs) * mpf("1.001"):
            break
    return c, max(abs(e) for e, _ in errors)


def quotient(target, weight, above, below, most):
    """Coefficients of two polynomials on 0..most, the second starting with 1, whose quotient is near the target."""
    places = (1 - np.cos(np.pi * (np.arange(3000) + 0.5) / 3000)) / 2
    wanted = np.array([float(target(mpf(float(x)))) for x in places * most])
    weights = np.array([float(weight(mpf(float(x)))) for x in places * most])
    powers = lambda count: places[:, None] ** np.arange(count)
    denominator, shares, best = np.ones(3000), np.full(3000, 1 / 3000), (np.inf, None)
    for _ in range(150):
        rows = np.hstack([powers(above), -wanted[:, None] * powers(below)[:, 1:]])
        scale = np.sqrt(shares) * weights / denominator
        solved = np.linalg.lstsq(rows * scale[:, None], wanted * scale, rcond=None)[0]
        denominator = powers(below) @ np.concatenate([[1], solved[above:]])
        errors = np.abs(weights * (powers(above) @ solved[:above] / denominator - wanted))
        best = min(best, (errors.max(), solved), key=lambda fitted: fitted[0])
        shares = shares * (errors / errors.max() + 1e-3) ** 0.7
        shares /= shares.sum()
    error, solved = best
    bottom = np.concatenate([[1], solved[above:]])
    return [(part / most ** np.arange(len(part)), error) for part in (solved[:above], bottom)]


def show(name, fitted, single):
    coefficients, error = fitted
    numbers = []
    for c in coefficients:
        number = struct.unpack("f", struct.pack("f", float(c)))[0] if single else float(c)
        numbers.append(repr(number))
    print(f"// {name}: {mp.nstr(error, 3)}\n[{', '.join(numbers)}]")


def one(_):
    return mpf(1)


def exp_rest(r):
    return mpf(1) / 2 if abs(r) < mpf("1e-30") else (mp.exp(r) - 1 - r) / r**2


def log_rest(z):
    s = mp.sqrt(z)
    return mpf(2) / 3 if z < mpf("1e-40") else ((mp.log(1 + s) - mp.log(1 - s)) / s - 2) / z


def tanh_rest(z):
    x = mp.sqrt(z)
    return -mpf(1) / 3 if z < mpf("1e-40") else (mp.tanh(x) / x - 1) / z


def sin_rest(z):
    x = mp.sqrt(z)
    return -mpf(1) / 6 if z < mpf("1e-30") else (mp.sin(x) / x - 1) / z


def cos_rest(z):
    return mpf(1) / 24 if z < mpf("1e-20") else (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2


def erf_near(z):
    x = mp.sqrt(z)
    return 2 / mp.sqrt(mp.pi) - 1 if z < mpf("1e-40") else mp.erf(x) / x - 1


CENTRE = mpf(2)


def scaled(u):
    x = CENTRE * (1 + u) / (1 - u)
    return mp.exp(x**2) * mp.erfc(x)


def main():
    ends = mp.log(2) / 2 * mpf("1.001")
    show("exp f32", remez(exp_rest, one, 6, -ends, ends), True)
    far = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mpf("1.001")
    show("log f32", remez(log_rest, one, 4, 0, far), True)
    show("log f64", remez(log_rest, one, 7, 0, far), False)
    near = mpf("0.625") ** 2
    show("tanh f32", remez(tanh_rest, one, 5, 0, near), True)
    show("tanh f64", remez(tanh_rest, one, 11, 0, near), False)
    eighth = (mp.pi / 4) ** 2 * mpf("1.001")
    show("sin", remez(sin_rest, one, 6, 0, eighth), False)
    show("cos", remez(cos_rest, one, 6, 0, eighth), False)
    by_erf = lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)) if z > 0 else mpf(1)
    ratio = lambda z: 2 / mp.sqrt(mp.pi) if z < mpf("1e-40") else mp.erf(mp.sqrt(z)) / mp.sqrt(z)
    above, below = quotient(ratio, lambda z: 1 / ratio(z), 6, 6, 16.0)
    show("erf f32 above", above, True)
    show("erf f32 below", below, True)
    show("erf f64 near", remez(erf_near, by_erf, 12, 0, 1), False)
    place = lambda x: (mpf(x) - CENTRE) / (mpf(x) + CENTRE)
    by_far = lambda u: (lambda x: mp.exp(-(x**2)) / mp.erf(x))(CENTRE * (1 + u) / (1 - u))
    show("erf f64 far", remez(scaled, by_far, 14, place(1), place(6)), False)
    for bits, digits, value in [("ln 2, f32", 12, mp.log(2)), ("ln 2, f64", 33, mp.log(2)), ("pi / 2", 33, mp.pi / 2)]:
        parts, rest = [], value
        for _ in range(1 if bits[0] == "l" else 3):
            unit = mpf(2) ** (mp.floor(mp.log(rest, 2)) + 1 - digits)
            parts.append(mp.floor(rest / unit) * unit)
            rest -= parts[-1]
        print(f"// {bits} in parts of {digits} bits\n[{', '.join(repr(float(p)) for p in parts + [rest])}]")


if __name__ == "__main__":
    main()
