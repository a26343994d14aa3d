#!/usr/bin/env python3
"""Writes the model files of the llama scenarios: make_gguf.py FOLDER

  tiny.gguf       a whole llama model: 1 layer, 32 wide, 64 tokens, no vocabulary, about 60 KB
  other.gguf      the same with other weights, to swap to
  corrupt.gguf    tiny with garbage in its table of tensors
  truncated.gguf  tiny, cut in the middle of its tensor data

The same bytes on every machine and every Python 3: the weights come from an integer generator
(xorshift64*, Vigna 2016) and are exact binary fractions. The format is GGUF version 3
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). A file appears whole or not at all.
Deliberately absent: third-party packages, quantised weights, a tokenizer.
"""

import os
import struct
import sys

ALIGNMENT = 32
TOKENS, WIDTH, HEADS, FEED_FORWARD, CONTEXT = 64, 32, 4, 64, 256
SEEDS = {"tiny": 1, "other": 2}

UINT32, FLOAT32, STRING = 4, 6, 8  # the format's numbers for value types
TENSOR_FLOAT32 = 0  # ggml's number for a tensor of 32-bit floats

METADATA = (
    ("general.architecture", STRING, "llama"),
    ("general.alignment", UINT32, ALIGNMENT),
    ("general.file_type", UINT32, 0),
    ("llama.vocab_size", UINT32, TOKENS),
    ("llama.context_length", UINT32, CONTEXT),
    ("llama.embedding_length", UINT32, WIDTH),
    ("llama.block_count", UINT32, 1),
    ("llama.feed_forward_length", UINT32, FEED_FORWARD),
    ("llama.attention.head_count", UINT32, HEADS),
    ("llama.attention.head_count_kv", UINT32, HEADS),
    ("llama.attention.layer_norm_rms_epsilon", FLOAT32, 1e-5),
    ("llama.rope.dimension_count", UINT32, WIDTH // HEADS),
    ("tokenizer.ggml.model", STRING, "no_vocab"),
)

# Name and shape, the dimension that is contiguous in memory first. Vectors are norms: all ones.
TENSORS = (
    ("token_embd.weight", (WIDTH, TOKENS)),
    ("output_norm.weight", (WIDTH,)),
    ("output.weight", (WIDTH, TOKENS)),
    ("blk.0.attn_norm.weight", (WIDTH,)),
    ("blk.0.attn_q.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_k.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_v.weight", (WIDTH, WIDTH)),
    ("blk.0.attn_output.weight", (WIDTH, WIDTH)),
    ("blk.0.ffn_norm.weight", (WIDTH,)),
    ("blk.0.ffn_gate.weight", (WIDTH, FEED_FORWARD)),
    ("blk.0.ffn_up.weight", (WIDTH, FEED_FORWARD)),
    ("blk.0.ffn_down.weight", (FEED_FORWARD, WIDTH)),
)


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def metadata_entry(key, kind, value):
    forms = {UINT32: "<I", FLOAT32: "<f"}
    data = text(value) if kind == STRING else struct.pack(forms[kind], value)
    return text(key) + struct.pack("<I", kind) + data


def padded(data):
    return data + b"\0" * (-len(data) % ALIGNMENT)


def weights(seed):
    """Floats in [-0.5, 0.5) in steps of 2**-24, without end."""
    state = seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
    while True:
        state ^= state >> 12
        state ^= state << 25 & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 27
        drawn = state * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF
        yield (drawn >> 40) / (1 << 24) - 0.5


def model(seed):
    """A whole file, with the place of its table of tensors and of its tensor data."""
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(TENSORS), len(METADATA))
    header += b"".join(metadata_entry(*entry) for entry in METADATA)
    source, table, data = weights(seed), b"", b""
    for name, shape in TENSORS:
        table += text(name) + struct.pack("<I", len(shape))
        table += struct.pack(f"<{len(shape)}Q", *shape)
        table += struct.pack("<IQ", TENSOR_FLOAT32, len(data))
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = [next(source) for _ in range(count)] if len(shape) > 1 else [1.0] * count
        data += padded(struct.pack(f"<{count}f", *values))
    head = padded(header + table)
    return head + data, len(header), len(head)


def corrupt(whole, table):
    """Garbage over the first entries of the table: a name longer than any file, wild shapes."""
    source = weights(3)
    garbage = bytes(int((next(source) + 0.5) * 256) for _ in range(200))
    return whole[:table] + garbage + whole[table + len(garbage):]


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: make_gguf.py FOLDER")
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    files = {name: model(seed)[0] for name, seed in SEEDS.items()}
    whole, table, data = model(SEEDS["tiny"])
    files["corrupt"] = corrupt(whole, table)
    files["truncated"] = whole[: data + (len(whole) - data) // 2]
    for name, content in files.items():
        path = os.path.join(folder, f"{name}.gguf")
        with open(path + ".part", "wb") as part:
            part.write(content)
        os.replace(path + ".part", path)


if __name__ == "__main__":
    main()
