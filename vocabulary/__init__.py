"""The words of Evercount and what they mean: values and pure functions that both programs share.

No input, output, clock or randomness. The way to read it: `item`, `quantity`, `place` and `unit` are the nouns,
`movement` the one verb, `count`, `document`, `exception` and `recommendation` what people and plans say about it;
`records` lists what a ledger may hold and gives its canonical bytes, `chain` links them, `stock` applies them, and
`wire` is what travels between the programs. `epc` and `barcode` read the codes that goods carry.
"""
