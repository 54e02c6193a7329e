"""The student of the tutor study: a small causal model, pre-trained once on procedural text with its own wordings.

It can add, subtract, multiply and divide small numbers, sort, reverse and count letters, and look up values in a list, each in
several wordings. None of these is a wording of `limbeck.data.procedural`: the study's runs must teach what the questions of
those domains ask. ``make tutor-student`` writes ``runs/tutor-study/student`` in about fifteen minutes on one core and prints
the hash of the weights, which is reproducible on the same machine.
"""

from __future__ import annotations

import hashlib
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch.optim.lr_scheduler import LambdaLR
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from limbeck.data.procedural.solutions import _legs
from limbeck.student.encode import THINK, Encoded
from limbeck.student.forward import collate_causal, forward_causal
from limbeck.system.files import write_folder

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "runs" / "tutor-study" / "student"
INSTRUCTION = "Solve the problem."  # of examples/tutor_study.yaml
PREFIX = "\nThe answer is: "
ROWS, RATE, MUON_RATE = 32, 3e-3, 0.02
HIDDEN, HEADS = 144, 4
BARE_SHARE = 0.15  # share of documents with only the answer

ANIMALS = sorted({part for name in _legs() for part in f"{name}s".split()})

Luck = random.Random
Document = tuple[str, str, str]
"""Question, rationale, answer."""


def write_integer(luck: Luck) -> int:
    """A number; small ones are more frequent."""
    return luck.randrange(10 ** luck.choice((1, 2, 2)))


def add_up(luck: Luck) -> Document:
    """Two to four numbers with signs, one step per sentence."""
    count = luck.choice((2, 2, 3, 3, 4))
    numbers = [write_integer(luck) for _ in range(count)]
    signs = ["+", *(luck.choice("+-") for _ in range(count - 1))]
    if luck.random() < 0.4:
        signs = ["+"] * count
    total, steps = numbers[0], []
    for sign, number in zip(signs[1:], numbers[1:], strict=True):
        result = total + number if sign == "+" else total - number
        steps.append(f"{total} {sign} {number} = {result}.")
        total = result
    words = {"+": luck.choice((" plus ", " then add ", ", up ")), "-": luck.choice((" minus ", " then take ", ", down "))}
    told = str(numbers[0]) + "".join(words[sign] + str(number) for sign, number in zip(signs[1:], numbers[1:], strict=True))
    ask = luck.choice(("Begin at {}; where is the end?", "What comes of {}?", "A count goes {}.", "Result: {}?"))
    return ask.format(told), " ".join(steps), str(total)


def add_list(luck: Luck) -> Document:
    """A list of numbers in one sum, like the last step of a solution."""
    numbers = [
        luck.choice((luck.randrange(4), luck.randrange(60), luck.randrange(10) * luck.choice((10, 20, 30))))
        for _ in range(luck.choice((2, 2, 3)))
    ]
    ask = luck.choice(("Together: {}?", "All of {} at once?", "{}: make one number."))
    return (
        ask.format(luck.choice((", ", " ", " & ")).join(map(str, numbers))),
        f"{' + '.join(map(str, numbers))} = {sum(numbers)}.",
        str(sum(numbers)),
    )


def times(luck: Luck) -> Document:
    """One product, sometimes of tens."""
    first = luck.choice((luck.randrange(1, 15), luck.randrange(1, 10) * luck.choice((1, 10))))
    second = luck.randrange(1, luck.choice((10, 16, 30)))
    if luck.random() < 0.3:
        second = luck.randrange(10, 100)
        first = luck.randrange(1, 10) * luck.choice((1, 10))
    ask = luck.choice(("{} rows with {} each?", "{} lots: {}?", "{} of {} makes?", "Take {} and repeat it {} times."))
    return ask.format(first, second), f"{first} × {second} = {first * second}.", str(first * second)


def times_by_place(luck: Luck) -> Document:
    """A number split into tens and ones."""
    number = luck.randrange(11, 100)
    ask = luck.choice(("Places of {}?", "Take {} apart.", "Tens then ones: {}?"))
    parts = [value for value in (number // 10 * 10, number % 10) if value]
    return ask.format(number), f"{' '.join(f'{part}.' for part in parts)}", " ".join(map(str, parts))


def divide(luck: Luck) -> Document:
    """A number as a small factor times the rest."""
    small = luck.choice((2, 2, 3, 3, 5, 7, luck.randrange(2, 13)))
    rest = luck.randrange(1, 56)
    number = small * rest
    ask = luck.choice(("{} over {}?", "Share {} between {}.", "{} in heaps of {}?"))
    return ask.format(number, small), f"{number} = {small} × {rest}.", str(rest)


def smallest_factor(luck: Luck) -> Document:
    """The smallest proper factor above one, or that there is none."""
    number = luck.randrange(4, 130)
    found = next((d for d in range(2, number) if number % d == 0), None)
    ask = luck.choice(("First heap size for {}?", "What goes into {}?", "Break {} once."))
    if found is None:
        return ask.format(number), f"{number} stays whole.", "none"
    return ask.format(number), f"{number} = {found} × {number // found}.", str(found)


def factor_chain(luck: Luck) -> Document:
    """All prime factors, divided out one by one."""
    rest, factors, steps = luck.randrange(4, 130), [], []
    number = rest
    for divisor in (2, 3, 5, 7, 11):
        while rest > divisor and rest % divisor == 0:
            factors.append(divisor)
            rest //= divisor
            steps.append(" ".join(map(str, [*factors, rest])))
    ask = luck.choice(("Crumble {}.", "{} down to dust?", "Atoms in {}?"))
    rationale = f"{number}: {' / '.join(steps)}." if steps else f"{number} stays whole."
    return ask.format(number), rationale, " ".join(map(str, [*factors, rest]))


def make_word(luck: Luck, low: int = 2, high: int = 8) -> str:
    """Letters that mostly alternate between consonants and vowels."""
    letters = ""
    for place in range(luck.randint(low, high)):
        letters += luck.choice("aeiou" if place % 2 == luck.randrange(5) % 2 else "bcdfghjklmnpqrstvwxyz")
    return letters


def count_signs(luck: Luck) -> Document:
    """How often a letter occurs in each of some words."""
    words = [make_word(luck) for _ in range(luck.choice((1, 1, 2, 3)))]
    letter = luck.choice(luck.choice(words)) if luck.random() < 0.8 else luck.choice(string.ascii_lowercase)
    counts = [word.count(letter) for word in words]
    ask = luck.choice(("{} | {}", "Look for {} among {}!", "Tick each {}: {}"))
    rationale = ", ".join(f"{word} {count}" for word, count in zip(words, counts, strict=True)) + "."
    return ask.format(letter, " ".join(words)), rationale, str(sum(counts))


def sort_words(luck: Luck) -> Document:
    """Words sorted by their first letters, ascending or descending."""
    words = list(
        {word[0]: word for word in (make_word(luck, 1, luck.choice((1, 3, 6))) for _ in range(luck.choice((2, 3, 3))))}.values()
    )
    down = luck.random() < 0.5
    ordered = sorted(words, reverse=down)
    mark = luck.choice((" ", ", ", " / "))
    ask = luck.choice(("Line up {} {}.", "Queue {}: {}!", "Shelf {}, {}?"))
    heads = f"{mark.join(word[0] for word in words)} - {mark.join(word[0] for word in ordered)}."
    return ask.format("z to a" if down else "a to z", mark.join(words)), heads, mark.join(ordered)


def turn_round(luck: Luck) -> Document:
    """Characters reversed."""
    signs = [luck.choice(string.ascii_lowercase + string.digits) for _ in range(luck.choice((2, 3, 3, 4)))]
    back = signs[::-1]
    ask = luck.choice(("Mirror {}.", "From the far side: {}?", "Walk back over {}."))
    return ask.format("".join(signs)), f"{' '.join(signs)} - {' '.join(back)}.", "".join(back)


def copy(luck: Luck) -> Document:
    """Words copied unchanged."""
    words = [luck.choice((make_word(luck, 3, 9), draw_name(luck))) for _ in range(luck.choice((1, 2, 3)))]
    ask = luck.choice(("Echo {}.", "Again: {}", "Repeat {}!"))
    return ask.format(", ".join(words)), f"{', '.join(words)}.", ", ".join(words)


def draw_name(luck: Luck) -> str:
    """A new word or an animal: the student should know the name as a word, but not how many legs it has."""
    return luck.choice(ANIMALS) if luck.random() < 0.6 else make_word(luck, 3, 7)


def look_up(luck: Luck) -> Document:
    """Prices from the question, multiplied and summed."""
    names = [draw_name(luck) for _ in range(luck.choice((1, 2)))]
    prices = [luck.randrange(15) for _ in names]
    counts = [luck.randrange(1, 7) for _ in names]
    products = [price * count for price, count in zip(prices, counts, strict=True)]
    told = ", ".join(f"{name} costs {price}" for name, price in zip(names, prices, strict=True))
    wanted = " & ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
    steps = [
        f"{count} {name}: {count} × {price} = {count * price}."
        for count, name, price in zip(counts, names, prices, strict=True)
    ]
    if len(products) > 1:
        steps.append(f"{' + '.join(map(str, products))} = {sum(products)}.")
    ask = luck.choice(("{}. Bill for {}?", "{}. Pay {}.", "{}; basket {}?"))
    return ask.format(told, wanted), " ".join(steps), str(sum(products))


def common_measure(luck: Luck) -> Document:
    """Two numbers as multiples of a given one."""
    measure = luck.randrange(1, 9)
    first, second = measure * luck.randrange(1, 9), measure * luck.randrange(1, 9)
    ask = luck.choice(("Measure {} with {}, then {}.", "Rod {1}: {0}; {2}?", "Split {0} | {2} by rods {1}."))
    text = ask.format(first, measure, second)
    return (
        text,
        f"{first} = {measure} × {first // measure}. {second} = {measure} × {second // measure}.",
        f"{first // measure} {second // measure}",
    )


FIRST = (
    add_up,
    add_up,
    add_list,
    times,
    times,
    times_by_place,
    divide,
    divide,
    smallest_factor,
    count_signs,
    count_signs,
    sort_words,
    sort_words,
    turn_round,
    turn_round,
    copy,
    copy,
    look_up,
    look_up,
    common_measure,
)
THEN = (
    *[add_up] * 4,
    *[add_list] * 3,
    *[sort_words] * 3,
    *[count_signs] * 4,
    *[look_up] * 3,
    *[times] * 3,
    *[factor_chain] * 3,
    copy,
    divide,
    smallest_factor,
    turn_round,
    times_by_place,
    common_measure,
)
PHASES: tuple[tuple[int, tuple[Callable[[Luck], Document], ...]], ...] = ((2500, FIRST), (4000, THEN))
"""The steps of each phase and its tasks: all tasks until words are copied, then more of those that are learnt slowly."""

WORDS = """All Atoms Begin Bill Break Crumble Echo First From Line Look Measure Mirror Pay Places Queue Repeat Result Rod
Share Shelf Split Take Tens Tick Together Walk What Again"""
"""The words of the wordings above; one token each, like the words of the domains."""
DOMAIN_WORDS = """Calculate How often does the letter occur in Write as product of primes ascending descending order Sort these
words many legs do have total Multiply by Of and find greatest common divisor Spell this word backward is prime become
becomes"""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token per character, per word of all wordings, and per word of the animals' names."""
    special = ["<pad>", "<|user|>", "<|assistant|>", "<|end|>"]
    signs = [*map(chr, range(32, 127)), "\n", "×"]
    tokenizer = Tokenizer(models.BPE({sign: place for place, sign in enumerate([*special, *signs])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    words = dict.fromkeys([*sorted({*WORDS.split(), *DOMAIN_WORDS.split()}), *ANIMALS])
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in special])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in (PREFIX, THINK, INSTRUCTION)])
    tokenizer.add_tokens([AddedToken(word, single_word=True, normalized=False) for word in words])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        clean_up_tokenization_spaces=False,
        pad_token=special[0],
        eos_token=special[-1],
    )
    fast.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|assistant|>{{ m.content }}<|end|>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    return fast


def write_document(luck: Luck, tasks: Sequence[Callable[[Luck], Document]]) -> tuple[str, str]:
    """Prompt and completion in the format of the study's rows; some have no rationale."""
    question, rationale, answer = luck.choice(tasks)(luck)
    if luck.random() < BARE_SHARE:
        return f"<|user|>{INSTRUCTION}\n\n{question}<|assistant|>", f"{answer}<|end|>"
    return f"<|user|>{INSTRUCTION}\n\n{question}\n{THINK}<|assistant|>", f"{rationale}{PREFIX}{answer}<|end|>"


def draw_batches(
    tokenizer: PreTrainedTokenizerFast, luck: Luck, tasks: Sequence[Callable[[Luck], Document]]
) -> Iterator[list[Encoded]]:
    """Endless batches of documents with similar lengths."""
    while True:
        drawn = []
        for _ in range(32 * ROWS):
            prompt, completion = (tokenizer(text)["input_ids"] for text in write_document(luck, tasks))
            drawn.append(Encoded((*prompt, *completion), len(prompt)))
        drawn.sort(key=lambda row: len(row.ids))
        batches = [drawn[place : place + ROWS] for place in range(0, len(drawn), ROWS)]
        luck.shuffle(batches)
        yield from batches


def pretrain(model: LlamaForCausalLM, batches: Iterator[list[Encoded]], steps: int, pad: int) -> None:
    """Train one phase; the rate rises over a hundred steps and then falls linearly to 0."""
    inner = [w for name, w in model.named_parameters() if w.ndim == 2 and "embed" not in name]
    others = [w for name, w in model.named_parameters() if w.ndim < 2 or "embed" in name]
    # With AdamW alone, learning to copy a word takes about three times as many steps.
    optimisers = [
        torch.optim.Muon(inner, lr=MUON_RATE, weight_decay=0.01),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98)),
    ]
    schedules = [LambdaLR(one, lambda step: min((step + 1) / 100, 1 - step / steps)) for one in optimisers]
    begin = time.monotonic()
    for step, rows in zip(range(steps), batches, strict=False):
        with torch.autocast("cpu", torch.bfloat16):
            logits, targets = forward_causal(model, collate_causal(rows, pad))
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for each in (*optimisers, *schedules):
            each.step()
        if step % 250 == 0:
            print(f"pre-training: step {step} of {steps}, loss {loss.item():.3f}, {time.monotonic() - begin:.0f} s", flush=True)


def make_student(folder: Path = FOLDER) -> None:
    """Pre-train the student, unless it exists."""
    if folder.exists():
        return
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=HIDDEN,
            intermediate_size=8 * HIDDEN // 3,
            num_hidden_layers=4,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    for phase, (steps, tasks) in enumerate(PHASES):
        pretrain(model, draw_batches(tokenizer, random.Random(phase), tasks), steps, tokenizer.pad_token_id)

    def write(temporary: Path) -> None:
        model.eval().save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)

    write_folder(folder, write)


def hash_weights(folder: Path = FOLDER) -> str:
    """The sha256 of the weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


if __name__ == "__main__":
    make_student()
    print(f"{FOLDER}: sha256 {hash_weights()}")
