#!/usr/bin/env python3
"""Writes small GGUF files as seeds for the fuzz targets that read them: make_gguf_seeds.py FOLDER"""

import pathlib
import struct
import sys

import gguf
import numpy as np

TINY_MODELS = pathlib.Path(__file__).resolve().parent.parent / "data" / "tiny"


def seed(path, alignment=None, tensors=(), own=False, version=3):
    writer = gguf.GGUFWriter(path, "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    for kind, value in [("uint8", 1), ("int8", -1), ("uint16", 2), ("int16", -2), ("uint32", 3),
                        ("int32", -3), ("uint64", 4), ("int64", -4), ("float32", 0.5),
                        ("float64", 0.25), ("bool", True), ("string", "text")]:
        getattr(writer, "add_" + kind)("a." + kind, value)
    writer.add_array("a.strings", ["one", "two"])
    writer.add_array("a.ints", [1, 2, 3])
    writer.add_array("a.floats", [0.5, 1.5])
    writer.add_array("a.nested", [[1, 2], [3, 4]])
    if own:
        writer.add_array("checkbit.tensor.names", ["own"])
        writer.add_array("checkbit.tensor.formats", ["CB3"])
        writer.add_key_value("checkbit.tensor.columns", [64], gguf.GGUFValueType.ARRAY,
                             sub_type=gguf.GGUFValueType.UINT64)
        writer.add_tensor("own", np.zeros((2, 28), dtype=np.int8))
    for name, shape, kind in tensors:
        if kind is None:
            writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
        else:
            values = np.zeros(shape, dtype=np.float32)
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def metadata_of_model(path, model, with_tokenizer):
    """The metadata of a model, byte for byte, without its tensors."""
    entries = [field for field in gguf.GGUFReader(model).fields.values()
               if not field.name.startswith("GGUF.")
               and (with_tokenizer or not field.name.startswith("tokenizer."))]
    body = b"".join(part.tobytes() for field in entries for part in field.parts)
    header = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries))
    path.write_bytes(header + body + bytes(-(len(header) + len(body)) % 32))


def write_seeds(folder):
    folder.mkdir(parents=True, exist_ok=True)
    quants = gguf.GGMLQuantizationType
    seed(folder / "empty.gguf")
    seed(folder / "own.gguf", own=True)
    seed(folder / "aligned.gguf", alignment=64, tensors=[("w", (2, 32), quants.Q8_0)])
    seed(folder / "types.gguf", tensors=[("a", (3, 5), None), ("b", (2, 32), quants.Q4_0),
                                         ("c", (1, 64), quants.BF16), ("d", (1, 2, 3, 4), None)])
    # Every family with all its keys: the fuzzer would not find those by itself.
    for model in sorted(TINY_MODELS.glob("*.gguf")):
        metadata_of_model(folder / f"{model.stem}-config.gguf", model, with_tokenizer=False)
        metadata_of_model(folder / f"{model.stem}-all.gguf", model, with_tokenizer=True)


if __name__ == "__main__":
    write_seeds(pathlib.Path(sys.argv[1]))
