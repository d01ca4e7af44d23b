"""A tokenizer small enough to train in a test."""

from workbench.tasks import batch_generator, task


def trained(path, *, digits=False, lower=False):
    """Train a small byte-level BPE on sentences of the task, and save it."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = task("gsm_infinite", length=600)
    batch = made.sample(40, batch_generator(9, 0))
    tokenizer = Tokenizer(models.BPE())
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    steps += [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([made.typed(batch, n)[0] for n in range(40)], trainer)
    tokenizer.save(str(path))
    return str(path)
