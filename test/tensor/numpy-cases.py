# Writes test/fixtures/tensor/numpy-cases.json: expressions of ours and of numpy's that mean the same, with numpy's results on
# the same inputs, in f64. Needs numpy 2:
#   python3 test/tensor/numpy-cases.py
import json
import pathlib

import numpy as np

rng = np.random.default_rng(12)


def normal(*shape):
    """Numbers that are exact in f32 and short in JSON."""
    return np.round(rng.normal(size=shape) * 64) / 64 + 0.0  # No -0.


nan, inf = np.nan, np.inf
inputs = {
    "x": normal(3, 4),
    "y": normal(2, 3, 4),
    "z": normal(2, 5, 3, 4),
    "v": normal(4),
    "w": normal(4, 5),
    "p": np.abs(normal(3, 4)) + 0.25,
    "ties": np.array([[2.0, 1.0, 2.0, 1.0], [0.0, -0.0, 0.0, -1.0]]),
    "odd": np.array([[1.0, nan, -inf, 2.0], [inf, 3.0, -1.0, -0.0], [-inf, -inf, 0.0, 1.0]]),
    "large": np.array([[1e4, 2e4, 9e4], [-1e4, 0.0, 1e-3]]),
    "q": normal(1, 5, 1, 4),
    "one": normal(1, 1),
    "number": normal(),
    "none": np.zeros((0, 3)),
    "long": normal(2, 120),
    "ids": np.array([2, 0, -1], dtype=np.int32),
    "grid": np.array([[0, 1], [-1, 2]], dtype=np.int32),
    "places": np.array([[3, 0], [1, 1], [-1, 2]], dtype=np.int32),
}

# [ours, numpy's], and what the result is held to: "exact" for numbers that are copied, compared or rounded once.
exact = [
    ("x.at(-1)", "x[-1]"),
    ("x.at(-1, 3)", "x[-1, 3]"),
    ("x.at(':', '-3:')", "x[:, -3:]"),
    ("y.at('...', 0)", "y[..., 0]"),
    ("y.at(0, '...', '1:')", "y[0, ..., 1:]"),
    ("y.at(1, '::2', '::-1')", "y[1, ::2, ::-1]"),
    ("y.at('...')", "y[...]"),
    ("y.at()", "y[()]"),
    ("x.at('5:', '-9:2')", "x[5:, -9:2]"),
    ("x.at('2:0:-1')", "x[2:0:-1]"),
    ("x.at('1::-2', ':-1')", "x[1::-2, :-1]"),
    ("x.at('0:3:2', -2)", "x[0:3:2, -2]"),
    ("x.at('-1:-9:-1')", "x[-1:-9:-1]"),
    ("x.at('2:1')", "x[2:1]"),
    ("none.at(':', 1)", "none[:, 1]"),
    ("ids.at('::-1')", "ids[::-1]"),
    ("x.gather([2, 0, -1])", "x[[2, 0, -1]]"),
    ("x.gather(ids)", "np.take(x, ids, axis=0)"),
    ("x.gather([1, -1], 1)", "np.take(x, [1, -1], axis=1)"),
    ("y.gather(grid, -2)", "np.take(y, grid, axis=-2)"),
    ("x.takeAlong(places, 1)", "np.take_along_axis(x, places, axis=1)"),
    ("ids.gather(ids)", "ids[ids]"),
    ("x.reshape([2, -1])", "x.reshape(2, -1)"),
    ("x.transpose()", "x.T"),
    ("y.transpose()", "y.T"),
    ("y.transpose([1, 2, 0])", "y.transpose(1, 2, 0)"),
    ("one.squeeze()", "one.squeeze()"),
    ("q.squeeze(-2)", "q.squeeze(-2)"),
    ("q.squeeze([0, 2])", "q.squeeze((0, 2))"),
    ("x.unsqueeze(0)", "np.expand_dims(x, 0)"),
    ("x.unsqueeze(-1)", "x[..., None]"),
    ("x.unsqueeze(1)", "x[:, None]"),
    ("v.broadcastTo([3, 4])", "np.broadcast_to(v, (3, 4))"),
    ("q.broadcastTo([2, 5, 3, 4])", "np.broadcast_to(q, (2, 5, 3, 4))"),
    ("concat([x, p])", "np.concatenate([x, p])"),
    ("concat([x, p], -1)", "np.concatenate([x, p], axis=-1)"),
    ("stack([x, p])", "np.stack([x, p])"),
    ("stack([x, p], -1)", "np.stack([x, p], axis=-1)"),
    ("stack([x, p], 1)", "np.stack([x, p], axis=1)"),
    ("x.add([1, 2, 3, 4])", "x + np.array([1, 2, 3, 4])"),
    ("x.mul([[1], [2], [4]])", "x * np.array([[1], [2], [4]])"),
    ("x.sub(v)", "x - v"),
    ("x.neg()", "-x"),
    ("x.abs()", "np.abs(x)"),
    ("odd.abs()", "np.abs(odd)"),
    ("x.pow(2)", "x ** 2"),
    ("x.pow(1)", "x ** 1"),
    ("odd.pow(0)", "odd ** 0"),
    ("odd.pow(1)", "odd ** 1"),
    ("x.max()", "x.max()"),
    ("x.min()", "x.min()"),
    ("x.max(0)", "x.max(axis=0)"),
    ("y.max([0, -1])", "y.max(axis=(0, -1))"),
    ("y.min(1, { keepDim: true })", "y.min(axis=1, keepdims=True)"),
    ("odd.max(1)", "odd.max(axis=1)"),
    ("odd.min(0)", "odd.min(axis=0)"),
    ("number.max()", "number.max()"),
    ("x.maximum(0)", "np.maximum(x, 0)"),
    ("x.equal(v)", "(x == v).astype(float)"),
    ("ties.equal(1)", "(ties == 1).astype(float)"),
    ("ties.notEqual(1)", "(ties != 1).astype(float)"),
    ("odd.equal(odd)", "(odd == odd).astype(float)"),
    ("odd.notEqual(odd)", "(odd != odd).astype(float)"),
    ("x.greater(0)", "(x > 0).astype(float)"),
    ("x.greater(v.unsqueeze(0))", "(x > v[None]).astype(float)"),
    ("ties.greaterEqual([2, 2, 1, 1])", "(ties >= [2, 2, 1, 1]).astype(float)"),
    ("y.less(x)", "(y < x).astype(float)"),
    ("x.less(y)", "(x < y).astype(float)"),
    ("ties.lessEqual(1)", "(ties <= 1).astype(float)"),
    ("ids.equal([2, 1, -1])", "(ids == [2, 1, -1]).astype(float)"),
    ("where(x.greater(0), x, 0)", "np.where(x > 0, x, 0)"),
    ("where(x.greater(0), v, y)", "np.where(x > 0, v, y)"),
    ("where(odd.equal(odd), odd, -1)", "np.where(odd == odd, odd, -1)"),
    ("where(odd.less(2), [[1], [2], [3]], odd)", "np.where(odd < 2, [[1], [2], [3]], odd)"),
    ("x.argmax()", "np.argmax(x).astype(np.int32)"),
    ("x.argmax(-1)", "np.argmax(x, axis=-1).astype(np.int32)"),
    ("y.argmax(1, { keepDim: true })", "np.argmax(y, axis=1, keepdims=True).astype(np.int32)"),
    ("y.argmin(0)", "np.argmin(y, axis=0).astype(np.int32)"),
    ("ties.argmax(1)", "np.argmax(ties, axis=1).astype(np.int32)"),
    ("ties.argmin(1)", "np.argmin(ties, axis=1).astype(np.int32)"),
    ("odd.argmax(1)", "np.argmax(odd, axis=1).astype(np.int32)"),
    ("odd.argmin(1)", "np.argmin(odd, axis=1).astype(np.int32)"),
    ("ids.argmax()", "np.argmax(ids).astype(np.int32)"),
    ("x.sort()", "np.sort(x)"),
    ("y.sort(1)", "np.sort(y, axis=1)"),
    ("odd.sort()", "np.sort(odd)"),
    ("x.sort(0, { descending: true })", "-np.sort(-x, axis=0)"),
    ("x.argsort()", "np.argsort(x, kind='stable').astype(np.int32)"),
    ("ties.argsort()", "np.argsort(ties, kind='stable').astype(np.int32)"),
    ("odd.argsort(0)", "np.argsort(odd, axis=0, kind='stable').astype(np.int32)"),
    ("ties.argsort(-1, { descending: true })", "np.argsort(-ties, kind='stable').astype(np.int32)"),
    ("ids.sort()", "np.sort(ids)"),
    ("x.topk(2).values", "-np.sort(-x)[:, :2]"),
    ("x.topk(2).indices", "np.argsort(-x, kind='stable')[:, :2].astype(np.int32)"),
    ("ties.topk(3).indices", "np.argsort(-ties, kind='stable')[:, :3].astype(np.int32)"),
    ("y.topk(2, 1).values", "-np.sort(-y, axis=1)[:, :2]"),
    ("long.topk(7).values", "-np.sort(-long)[:, :7]"),
    ("long.topk(7).indices", "np.argsort(-long, kind='stable')[:, :7].astype(np.int32)"),
    ("long.topk(120).indices", "np.argsort(-long, kind='stable').astype(np.int32)"),
    ("x.topk(0).values", "x[:, :0]"),
    ("odd.cumsum(1)", "np.cumsum(odd, axis=1)"),
    ("einsum('ij->ji', x)", "np.einsum('ij->ji', x)"),
    ("einsum('...ij->...ji', y)", "np.einsum('...ij->...ji', y)"),
    ("einsum('ba', x)", "np.einsum('ba', x)"),
    ("einsum('ii->i', x.at(':', ':3'))", "np.einsum('ii->i', x[:, :3])"),
]
close = [
    ("x.sum()", "x.sum()"),
    ("x.sum(-1)", "x.sum(axis=-1)"),
    ("x.sum(0)", "x.sum(axis=0)"),
    ("z.sum([1, -1])", "z.sum(axis=(1, -1))"),
    ("z.sum([0, 2], { keepDim: true })", "z.sum(axis=(0, 2), keepdims=True)"),
    ("z.sum([])", "z.sum(axis=())"),
    ("none.sum()", "none.sum()"),
    ("none.sum(0)", "none.sum(axis=0)"),
    ("number.sum()", "number.sum()"),
    ("y.mean()", "y.mean()"),
    ("y.mean([0, 1])", "y.mean(axis=(0, 1))"),
    ("y.mean(-1, { keepDim: true })", "y.mean(axis=-1, keepdims=True)"),
    ("x.var()", "x.var()"),
    ("y.var([0, 2])", "y.var(axis=(0, 2))"),
    ("x.var(-1, { correction: 1 })", "x.var(axis=-1, ddof=1)"),
    ("x.std(0)", "x.std(axis=0)"),
    ("x.std(0, { keepDim: true, correction: 1 })", "x.std(axis=0, keepdims=True, ddof=1)"),
    ("one.var(0, { correction: 1 })", "one.var(axis=0, ddof=1)"),
    ("x.norm()", "np.linalg.norm(x)"),
    ("y.norm(-1)", "np.linalg.norm(y, axis=-1)"),
    ("y.norm(0, { ord: 1, keepDim: true })", "np.linalg.norm(y, axis=0, ord=1, keepdims=True)"),
    ("x.norm(1, { ord: Infinity })", "np.linalg.norm(x, axis=1, ord=np.inf)"),
    ("x.pow(3)", "x ** 3"),
    ("x.pow(7)", "x ** 7"),
    ("x.pow(-1)", "x ** -1.0"),
    ("p.pow(-2)", "p ** -2.0"),
    ("p.pow(0.5)", "p ** 0.5"),
    ("p.pow(1.5)", "p ** 1.5"),
    ("p.pow(-0.25)", "p ** -0.25"),
    ("x.pow(0.3)", "x ** 0.3"),
    ("x.softmax()", "np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)"),
    ("y.softmax(1)", "np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)"),
    ("x.logSoftmax()", "x - np.log(np.exp(x).sum(axis=-1, keepdims=True))"),
    ("y.logSoftmax(0)", "y - np.log(np.exp(y).sum(axis=0, keepdims=True))"),
    ("large.logSoftmax()", "large - large.max(-1, keepdims=True) - np.log(np.exp(large - large.max(-1, keepdims=True)).sum(-1, keepdims=True))"),
    ("x.cumsum(0)", "np.cumsum(x, axis=0)"),
    ("y.cumsum(-2)", "np.cumsum(y, axis=-2)"),
    ("v.cumsum(0)", "np.cumsum(v)"),
    ("long.cumsum(1)", "np.cumsum(long, axis=1)"),
    ("none.cumsum(0)", "np.cumsum(none, axis=0)"),
    ("x.matmul(w)", "x @ w"),
    ("x.matmul(v)", "x @ v"),
    ("v.matmul(w)", "v @ w"),
    ("v.matmul(v)", "v @ v"),
    ("v.matmul(x.transpose())", "v @ x.T"),
    ("y.matmul(w)", "y @ w"),
    ("y.matmul(v)", "y @ v"),
    ("x.matmul(y, { transposeB: true })", "x @ y.swapaxes(-1, -2)"),
    ("z.matmul(q, { transposeB: true })", "z @ q.swapaxes(-1, -2)"),
    ("z.matmul(y.unsqueeze(1), { transposeB: true })", "z @ y[:, None].swapaxes(-1, -2)"),
    ("x.matmul(z.transpose([0, 1, 3, 2]))", "x @ z.transpose(0, 1, 3, 2)"),
    ("x.matmul(x, { transposeB: true })", "x @ x.T"),
    ("einsum('ij,jk->ik', x, w)", "np.einsum('ij,jk->ik', x, w)"),
    ("einsum('ij,jk', x, w)", "np.einsum('ij,jk', x, w)"),
    ("einsum('ij->', x)", "np.einsum('ij->', x)"),
    ("einsum('ij->j', x)", "np.einsum('ij->j', x)"),
    ("einsum('ii', x.at(':', ':3'))", "np.einsum('ii', x[:, :3])"),
    ("einsum('i,j->ij', v, v)", "np.einsum('i,j->ij', v, v)"),
    ("einsum('i,i->', v, v)", "np.einsum('i,i->', v, v)"),
    ("einsum('i,i->i', v, v)", "np.einsum('i,i->i', v, v)"),
    ("einsum('ij,kj->ik', x, p)", "np.einsum('ij,kj->ik', x, p)"),
    ("einsum('bij,bkj->bik', y, y)", "np.einsum('bij,bkj->bik', y, y)"),
    ("einsum('bhpe,bhte->bhpt', z, z)", "np.einsum('bhpe,bhte->bhpt', z, z)"),
    ("einsum('bhpt,bhpe->pbeh', z, z)", "np.einsum('bhpt,bhpe->pbeh', z, z)"),
    ("einsum('bij,jk->bk', y, w)", "np.einsum('bij,jk->bk', y, w)"),
    ("einsum('bij,j->bi', y, v)", "np.einsum('bij,j->bi', y, v)"),
    ("einsum('...ij,jk->...ik', z, w)", "np.einsum('...ij,jk->...ik', z, w)"),
    ("einsum('...j,...j->...', y, x)", "np.einsum('...j,...j->...', y, x)"),
    ("einsum('i...,i...->...', x, x)", "np.einsum('i...,i...->...', x, x)"),
    ("einsum('...pe,...te', z, q)", "np.einsum('...pe,...te', z, q)"),
    ("einsum('ij,jk,lj->ikl', x, w, p)", "np.einsum('ij,jk,lj->ikl', x, w, p)"),
    ("einsum('i,i,i->', v, v, v)", "np.einsum('i,i,i->', v, v, v)"),
    ("einsum('bij,cij,ij->bc', y, y, x)", "np.einsum('bij,cij,ij->bc', y, y, x)"),
    ("einsum(' p e , Q e -> Q p ', x, p)", "np.einsum('pe,Qe->Qp', x, p)"),
    ("einsum(',ij->ij', number, x)", "np.einsum(',ij->ij', number, x)"),
]


def plain(value):
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value) and (value != 0 or not np.signbit(value)):
        return int(value)
    return float(f"{value:.9g}")  # Enough to tell any two f32 numbers apart.


def array(value):
    value = np.asarray(value)
    dtype = "i32" if value.dtype == np.int32 else "f32"
    return {"dtype": dtype, "shape": list(value.shape), "values": [plain(number) for number in value.ravel().tolist()]}


def case(ours, numpy, tolerance):
    with np.errstate(all="ignore"):
        result = eval(numpy, {"np": np, **inputs})
    return {"ours": ours, "numpy": numpy, "tolerance": tolerance, "result": array(result)}


cases = [case(*pair, "exact") for pair in exact] + [case(*pair, "close") for pair in close]
lines = [f"    {json.dumps(name)}: {json.dumps(array(value))}" for name, value in inputs.items()]
path = pathlib.Path(__file__).parent.parent / "fixtures" / "tensor" / "numpy-cases.json"
with open(path, "w") as file:
    file.write('{\n  "numpy": ' + json.dumps(np.__version__) + ',\n  "inputs": {\n' + ",\n".join(lines) + '\n  },\n  "cases": [\n')
    file.write(",\n".join("    " + json.dumps(entry) for entry in cases) + "\n  ]\n}\n")
