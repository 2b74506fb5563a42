"""Small valid tokenizers for random models: byte-level BPE and SentencePiece-style pieces."""

import itertools

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
COMMON_PAIRS = [
    "Ġ t",
    "Ġ a",
    "i n",
    "h e",
    "r e",
    "o n",
    "e r",
    "Ġt he",
    "a t",
    "Ġ s",
    "e n",
    "Ġ c",
    "Ġ w",
    "n d",
    "i t",
    "o r",
    "in g",
    "Ġ o",
    "Ġ b",
    "Ġa nd",
]


def byte_characters():
    """The printable stand-in of each byte in byte-level BPE vocabularies (GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    replacements = iter(range(256, 512))
    return [chr(byte if byte in printable else next(replacements)) for byte in range(256)]


def letter_pairs():
    """An endless-enough supply of merges, after the common ones."""
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    pairs = [f"{first} {second}" for first, second in itertools.product(letters, letters)]
    return COMMON_PAIRS + [pair for pair in pairs if pair not in COMMON_PAIRS]


def add_bpe(writer, vocabulary, pretokenizer):
    """Byte-level BPE: 256 bytes, three control tokens, merges up to the vocabulary's size."""
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = letter_pairs()[: vocabulary - 256 - len(control)]
    tokens = byte_characters() + [merge.replace(" ", "") for merge in merges] + control
    if len(tokens) != vocabulary:
        raise ValueError(f"byte-level BPE cannot have {vocabulary} tokens")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pretokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types([NORMAL] * (vocabulary - 3) + [CONTROL] * 3)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary - 3)
    writer.add_eos_token_id(vocabulary - 1)
    writer.add_add_bos_token(False)


def add_spm(writer, vocabulary):
    """SentencePiece style: control tokens, 256 byte tokens, single letters and merged pieces."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [CONTROL, CONTROL, CONTROL, UNKNOWN] + [BYTE] * 256
    scores = [0.0] * len(tokens)
    singles = ["▁"] + list("etaoinshrdlucmfwypvbgkjqxz")
    merged = [pair.replace(" ", "").replace("Ġ", "▁") for pair in letter_pairs()]
    for rank, piece in enumerate((merged[:20] + singles + merged[20:])[: vocabulary - len(tokens)]):
        tokens.append(piece)
        types.append(NORMAL)
        scores.append(-float(rank) if len(piece) > 1 else -1000.0)
    if len(tokens) != vocabulary:
        raise ValueError(f"SentencePiece cannot have {vocabulary} tokens")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(3)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
