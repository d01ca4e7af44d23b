"""A tokenizer small enough to train in a test."""

from workbench.tasks import batch_generator, task


def trained(path, *, digits=False, lower=False, texts=None):
    """Train a small byte-level BPE, on sentences of word problems unless given texts; save it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if texts is None:
        made = task("gsm_infinite", length=600)
        batch = made.sample(40, batch_generator(9, 0))
        texts = [made.typed(batch, n)[0] for n in range(40)]
    tokenizer = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    steps += [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(path))
    return str(path)
