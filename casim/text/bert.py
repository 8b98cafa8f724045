"""BERT: the text states of CASIM's BERT variant, and with DistilBERT's weights those of MDM's token-level decoder.

What: last hidden states of all sub-words and of both markers. Any BERT or DistilBERT of the transformers library
works (`weights`).

Paper: Devlin et al. 2019, "BERT" (arXiv:1810.04805); Sanh et al. 2019, "DistilBERT" (arXiv:1910.01108); token by
token as motion condition: CASIM (arXiv 2502.02063) with bert-base-uncased, MDM since February 2025 with
distilbert-base-uncased.

Where we differ from the authors' code: a prompt of more than 512 tokens is an error unless `truncate` is on; states
of padding, which they keep and hide by the mask, are zero here and hidden as well. Neither code pools. Our pooled
vector, which a fixed-length arm takes, is the mean of all states, because the [CLS] state of a BERT that was not
tuned on sentences says less of the sentence (Reimers and Gurevych 2019, arXiv:1908.10084, table 1).
"""

from dataclasses import dataclass

from casim.text._bert import BertLike, Pool


class Bert(BertLike):
    """One state per sub-word and marker; pooled by their mean or by the [CLS] marker."""

    @dataclass(frozen=True)
    class Config:
        """Settings of the BERT text encoder."""

        weights: str = "bert-base-uncased"
        """Hub name, or local folder, of a BERT or DistilBERT in the transformers layout."""
        max_words: int | None = None
        """Most tokens of a prompt, [CLS] and [SEP] included; None: as many as the model was made for (512)."""
        truncate: bool = False
        """Cut longer prompts to `max_words` tokens, keeping [SEP], instead of refusing them."""
        pool: Pool = "mean"
        """Pooled vector: mean of all states, markers included; or cls, the state of the first marker."""

    def __init__(self, config: Config) -> None:
        super().__init__(config, config.weights, config.pool)
