"""The kinds of models, one class each.

This file is written from the documentation of the library's configurations; `CONTRIBUTING.md` says how.
[1] is Hidasi et al., ICLR 2016; [2] is Hidasi and Karatzoglou, CIKM 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._recommender import Recommender

__all__ = ["GRU4Rec", "Pop", "DecayPop", "SPop", "Repeat", "ItemKNN", "Markov", "AR", "SR", "ContentKNN", "SKNN", "VSKNN", "STAN", "VSTAN", "BPRMF", "SessionAverage", "Blend"]


class GRU4Rec(Recommender):
    """GRU4Rec: a recurrent network.

    Parameters
    ----------
    unit : str, default "gru"
        The recurrent unit: `gru`, `lstm` or `rnn`. The default is the best of [1].
    layers : Sequence[int], default (100,)
        Units of each recurrent layer, from the input up: at least one layer, each of 1 to 65,536 units. One layer
        is best in [1]; the default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    input : str, default "shared"
        The input of the first layer: `one-hot` (the current item), `discounted` (a weighted sum of the items so
        far), `embedding` (a table of vectors of its own) or `shared` (the output table, the constrained embedding
        of [2]). The default is that of Hidasi and Czapp (RecSys 2023) for RSC15; `one-hot` is the best in [1].
    discount : float, default 0.8
        γ of the `discounted` input, 0 < γ ≤ 1: an event `t` steps ago has weight `γ^t`. The default is our choice,
        since [1] gives no value.
    embedding_size : int, default 100
        Width of the table of the `embedding` input, 1 to 65,536. The default is our choice: that of the default
        layer.
    input_to_deeper_layers : bool, default False
        Whether every deeper layer also reads the network's input, through separate weights: `True`, for two or more
        layers, or `False`. [1] found it better for deep networks; the default has one layer.
    feed_forward : Sequence[int], default ()
        Units of each feed-forward layer (tanh) between the recurrent layers and the output, each 1 to 65,536; `()`
        for none. None is best in [1].
    input_to_output : bool, default False
        Whether the vector of the current item is added to the output of the top layer before the scores: `True`,
        with `shared` input only, or `False`. The default is that of [1], which has no such connection.
    cosine_scale : float | None, default None
        Length s of the session's vector, whose scores are then `s cos + bias`, since the items' vectors have the
        length 1 (after NISER, Gupta et al. 2019): above 0 and up to 1,000. If absent, as in [1], vectors have any
        length.
    attributes : Sequence[str], default ()
        Columns of the item table from which items get vectors besides their own: their names, `["*"]` for all, or
        `()` for none; with `shared` input only. The default is that of [1], which has none.
    hidden_activation : str, default "tanh"
        Activation of the GRU's candidate and of the plain recurrent unit: `tanh`, `relu` or `linear`; the LSTM has
        `tanh` only. The default is that of [1].
    output_activation : str | None, default None
        Activation of the scores: `linear`, `tanh`, `relu`, `elu-A`, `leaky-A` or `selu-L-A` with numbers A and L;
        cross-entropy has `linear` only. If absent, it depends on the loss: `tanh` for TOP1 and BPR [1] and for MRR,
        `linear` for cross-entropy, `elu-0.5` for TOP1-max and BPR-max [2].
    epochs : int, default 10
        Passes over the training sessions, 1 or more. The default is that of Hidasi and Czapp (RecSys 2023) for
        RSC15.
    batch_size : int, default 32
        Rows of a mini-batch, one session each, 1 or more (2 or more without additional samples). The default is
        that of Hidasi and Czapp (RecSys 2023) for RSC15.
    samples : int, default 2048
        Additional negative samples of a mini-batch, shared by its rows, 0 or more. With 0, a row's negatives are
        the other rows' targets, as in [1]. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    sample_alpha : float, default 0.75
        α, 0 or above: samples are drawn with probability ∝ support^α; 0 is uniform, 1 is by popularity. The default
        is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    mask_own_target : bool, default False
        Whether scored items equal to a row's own target are excluded from that row's negatives: `True` or `False`.
        The default is that of [1], which keeps them.
    loss : str, default "cross-entropy"
        The loss: `cross-entropy`, `top1`, `bpr`, `top1-max`, `bpr-max` or `mrr`. The default is that of Hidasi and
        Czapp (RecSys 2023) for RSC15.
    logq : float | None, default None
        Strength of the logQ correction of cross-entropy, from 0 (off) to 1; 0 with other losses. If absent, 1 with
        cross-entropy, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 with other losses.
    bpr_max_penalty : float, default 1.0
        λ, 0 or above: weight of the score penalty of BPR-max [2], which other losses do not have. The default is
        that of [2] for RSC15.
    dropout_embedding : float | None, default None
        Probability of dropping an element of the input vector in training, 0 ≤ p < 1, for `embedding` and `shared`
        input only. If absent, 0.1 for these inputs, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 for the
        others.
    dropout_item : float, default 0.1
        Probability of leaving out an item's own vector in a training step, 0 ≤ p < 1, so that those of its
        `model.attributes` learn to stand alone (after DropoutNet, Volkovs et al. 2017). The default is our choice.
    dropout_hidden : float, default 0.0
        Probability of dropping a unit of a layer's output in training, 0 ≤ p < 1. The default is that of Hidasi and
        Czapp (RecSys 2023) for RSC15.
    optimizer : str, default "adagrad"
        The optimiser: `adagrad`, `rmsprop`, `sgd` or `adam`. The default is the best of [1].
    learning_rate : float, default 0.1
        Learning rate η, above 0. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    momentum : float, default 0.0
        Momentum μ, 0 ≤ μ < 1: `v ← μ v + Δ`, `θ ← θ + v`. The default is that of Hidasi and Czapp (RecSys 2023) for
        RSC15.
    epsilon : float | None, default None
        ε, above 0, added inside the square root of Adagrad and RMSProp and outside that of Adam; SGD has none. If
        absent, 1e-6, our choice, and for Adam 1e-8, that of Kingma and Ba (2015).
    rmsprop_decay : float, default 0.9
        ρ of RMSProp, 0 ≤ ρ < 1. The default is that of Tieleman and Hinton (2012).
    adam_beta1 : float, default 0.9
        β₁ of Adam, 0 ≤ β₁ < 1. The default is that of Kingma and Ba (2015).
    adam_beta2 : float, default 0.999
        β₂ of Adam, 0 ≤ β₂ < 1. The default is that of Kingma and Ba (2015).
    l2 : float, default 0.0
        Strength of L2 regularisation, 0 or above: `l2 · θ` is added to the gradient of each parameter that a step
        updates. The default, 0, turns it off, our choice: no published setting has it.
    clip_norm : float, default 0.0
        Largest global L2 norm of a step's gradient, 0 or above: larger gradients are scaled down to it. The
        default, 0, turns clipping off, our choice: no published setting has it.
    session_order : str, default "time"
        The order of the sessions in an epoch: `time` (oldest first, so that the last updates use the newest
        sessions) or `shuffled` (random, by seed and epoch). The default is our choice.
    patience : int, default 0
        Early stopping: training stops after this many epochs without a better validation MRR. The default, 0, turns
        it off; other values need validation sessions (`validation`). Our choice: no published setting has it.
    seed : int, default 42
        Seed of initial weights, samples, dropout and shuffling: from 0 to below 2⁶³. The default is our choice.

    [1] Hidasi et al., ICLR 2016.
    [2] Hidasi and Karatzoglou, CIKM 2018.
    """

    kind = "gru4rec"
    _model_fields = ("unit", "layers", "input", "discount", "embedding_size", "input_to_deeper_layers", "feed_forward", "input_to_output", "cosine_scale", "attributes", "hidden_activation", "output_activation",)
    _training_fields = ("epochs", "batch_size", "samples", "sample_alpha", "mask_own_target", "loss", "logq", "bpr_max_penalty", "dropout_embedding", "dropout_item", "dropout_hidden", "optimizer", "learning_rate", "momentum", "epsilon", "rmsprop_decay", "adam_beta1", "adam_beta2", "l2", "clip_norm", "session_order", "patience", "seed",)

    def __init__(
        self,
        *,
        unit: str = "gru",
        layers: Sequence[int] = (100,),
        input: str = "shared",
        discount: float = 0.8,
        embedding_size: int = 100,
        input_to_deeper_layers: bool = False,
        feed_forward: Sequence[int] = (),
        input_to_output: bool = False,
        cosine_scale: float | None = None,
        attributes: Sequence[str] = (),
        hidden_activation: str = "tanh",
        output_activation: str | None = None,
        epochs: int = 10,
        batch_size: int = 32,
        samples: int = 2048,
        sample_alpha: float = 0.75,
        mask_own_target: bool = False,
        loss: str = "cross-entropy",
        logq: float | None = None,
        bpr_max_penalty: float = 1.0,
        dropout_embedding: float | None = None,
        dropout_item: float = 0.1,
        dropout_hidden: float = 0.0,
        optimizer: str = "adagrad",
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        epsilon: float | None = None,
        rmsprop_decay: float = 0.9,
        adam_beta1: float = 0.9,
        adam_beta2: float = 0.999,
        l2: float = 0.0,
        clip_norm: float = 0.0,
        session_order: str = "time",
        patience: int = 0,
        seed: int = 42,
    ) -> None:
        self.unit = unit
        self.layers = layers
        self.input = input
        self.discount = discount
        self.embedding_size = embedding_size
        self.input_to_deeper_layers = input_to_deeper_layers
        self.feed_forward = feed_forward
        self.input_to_output = input_to_output
        self.cosine_scale = cosine_scale
        self.attributes = attributes
        self.hidden_activation = hidden_activation
        self.output_activation = output_activation
        self.epochs = epochs
        self.batch_size = batch_size
        self.samples = samples
        self.sample_alpha = sample_alpha
        self.mask_own_target = mask_own_target
        self.loss = loss
        self.logq = logq
        self.bpr_max_penalty = bpr_max_penalty
        self.dropout_embedding = dropout_embedding
        self.dropout_item = dropout_item
        self.dropout_hidden = dropout_hidden
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.epsilon = epsilon
        self.rmsprop_decay = rmsprop_decay
        self.adam_beta1 = adam_beta1
        self.adam_beta2 = adam_beta2
        self.l2 = l2
        self.clip_norm = clip_norm
        self.session_order = session_order
        self.patience = patience
        self.seed = seed


class Pop(Recommender):
    """The items with the largest support in training.
    """

    kind = "pop"
    _model_fields = ()
    _training_fields = ()


class DecayPop(Recommender):
    """The items with the largest support of late, by events that count less the older they are.

    Parameters
    ----------
    half_life : float, default 0.01
        Age at which an event counts half, as a share of the training events: above 0, at most 1. The default is our
        choice: the best of several on the day before the last of a news log.
    """

    kind = "decay-pop"
    _model_fields = ("half_life",)
    _training_fields = ()

    def __init__(
        self,
        *,
        half_life: float = 0.01,
    ) -> None:
        self.half_life = half_life


class SPop(Recommender):
    """The most frequent items of the session so far, then those with the largest support in training.
    """

    kind = "s-pop"
    _model_fields = ()
    _training_fields = ()


class Repeat(Recommender):
    """The items of the session so far, by the chance that the visitor clicks each again.

    Parameters
    ----------
    shrinkage : float, default 30.0
        Strength of the shrinkage of a chance towards that of a coarser class, in pairs, above 0 and up to
        1,000,000. The default is our choice.
    item_shrinkage : float, default 20.0
        Strength of the shrinkage of an item's tendency towards 1, in expected repeats, above 0 and up to 1,000,000.
        The default is our choice.
    """

    kind = "repeat"
    _model_fields = ("shrinkage", "item_shrinkage",)
    _training_fields = ()

    def __init__(
        self,
        *,
        shrinkage: float = 30.0,
        item_shrinkage: float = 20.0,
    ) -> None:
        self.shrinkage = shrinkage
        self.item_shrinkage = item_shrinkage


class ItemKNN(Recommender):
    """Items that occur in the same sessions as the last item.

    Parameters
    ----------
    regularization : float, default 20.0
        λ, 0 or above, which lowers the similarities of rare items. The default is our choice: [1, section 4.1]
        regularises without giving a value.
    neighbours : int, default 100
        Number of most similar neighbours to keep per item, 1 or more; the number of items keeps all. The default is
        our choice: enough for lists of 20.

    [1] Hidasi et al., ICLR 2016.
    """

    kind = "item-knn"
    _model_fields = ("regularization", "neighbours",)
    _training_fields = ()

    def __init__(
        self,
        *,
        regularization: float = 20.0,
        neighbours: int = 100,
    ) -> None:
        self.regularization = regularization
        self.neighbours = neighbours


class Markov(Recommender):
    """Items that directly followed the last item.
    """

    kind = "markov"
    _model_fields = ()
    _training_fields = ()


class AR(Recommender):
    """Association rules: items that occur together with the last item.

    Parameters
    ----------
    pruning : int, default 20
        Number of rules of largest weight to keep per item, 1 or more; the number of items keeps all. The default is
        that of Ludewig and Jannach (UMUAI 2018).
    """

    kind = "ar"
    _model_fields = ("pruning",)
    _training_fields = ()

    def __init__(
        self,
        *,
        pruning: int = 20,
    ) -> None:
        self.pruning = pruning


class SR(Recommender):
    """Sequential rules: items that follow the last item within some steps.

    Parameters
    ----------
    steps : int, default 10
        Largest distance between the two events of a rule, 1 or more; 1 means consecutive events. The default is
        that of Ludewig and Jannach (UMUAI 2018).
    pruning : int, default 20
        Number of rules of largest weight to keep per item, 1 or more; the number of items keeps all. The default is
        that of Ludewig and Jannach (UMUAI 2018).
    half_life : float, default 0.0
        Age at which an event counts half, as a share of the training events, from 0 to 1. The default, 0, turns it
        off: all events count alike, as in the publication.
    """

    kind = "sr"
    _model_fields = ("steps", "pruning", "half_life",)
    _training_fields = ()

    def __init__(
        self,
        *,
        steps: int = 10,
        pruning: int = 20,
        half_life: float = 0.0,
    ) -> None:
        self.steps = steps
        self.pruning = pruning
        self.half_life = half_life


class ContentKNN(Recommender):
    """Items whose attributes are like those of the session's latest items, with an item table.

    Parameters
    ----------
    attributes : Sequence[str], default ("*",)
        Columns of the item table that are compared, all with the same weight; `*` stands for all. With one column
        of a category each, the model is POP of the category. The default is our choice.
    decay : float, default 0.5
        Weight of an event relative to the next one of the session, 0 ≤ decay < 1; with 0 the last item decides
        alone. The default is our choice.
    neighbours : int, default 1000
        Number of most similar items that get a score, 1 or more; all others follow by popularity. The default is
        our choice.
    """

    kind = "content-knn"
    _model_fields = ("attributes", "decay", "neighbours",)
    _training_fields = ()

    def __init__(
        self,
        *,
        attributes: Sequence[str] = ("*",),
        decay: float = 0.5,
        neighbours: int = 1000,
    ) -> None:
        self.attributes = attributes
        self.decay = decay
        self.neighbours = neighbours


class SKNN(Recommender):
    """Session-based nearest neighbours: the items of similar sessions.

    Parameters
    ----------
    k : int, default 500
        Number of neighbours, 1 or more. The default is that of Jannach and Ludewig (RecSys 2017).
    sample_size : int, default 1000
        m, the number of candidates, 1 or more: the most recent sessions with an item in common. The default is that
        of Jannach and Ludewig (RecSys 2017).
    similarity : str, default "cosine"
        The similarity of two sessions as sets of items: `cosine` or `vec` (dot product). The default is that of
        Jannach and Ludewig (RecSys 2017).
    """

    kind = "s-knn"
    _model_fields = ("k", "sample_size", "similarity",)
    _training_fields = ()

    def __init__(
        self,
        *,
        k: int = 500,
        sample_size: int = 1000,
        similarity: str = "cosine",
    ) -> None:
        self.k = k
        self.sample_size = sample_size
        self.similarity = similarity


class VSKNN(Recommender):
    """The items of similar sessions, with larger weights for the latest events.

    Parameters
    ----------
    k : int, default 500
        Number of neighbours, 1 or more. The default is our choice: the best of several settings on validation
        sessions of yoochoose1_64.
    sample_size : int, default 5000
        m, the number of candidates, 1 or more: the most recent sessions with an item in common. The default is our
        choice: the best of several settings on validation sessions of yoochoose1_64.
    similarity : str, default "vec"
        The similarity of two sessions as sets of items: `cosine` or `vec` (dot product). The default is our choice:
        the best of several settings on validation sessions of yoochoose1_64.
    weighting : str, default "div"
        Weight of the current session's items in the similarity, by position: `same` (none), `div`, `linear`,
        `quadratic` or `log`. The default is our choice: the best of several settings on validation sessions of
        yoochoose1_64.
    weighting_score : str, default "div"
        Weight of a neighbour in the scores, by the position in the current session of the last item that the
        neighbour contains: `same` (none), `div`, `linear`, `quadratic` or `log`. The default is our choice: the
        best of several settings on validation sessions of yoochoose1_64.
    idf_weighting : float, default 5.0
        Scores are multiplied by `1 + idf_weighting · ln(N / N_i)`, with `N` training sessions of which `N_i`
        contain the item: 0 to 1e6; 0 turns it off. The default is our choice: the best of several settings on
        validation sessions of yoochoose1_64.
    """

    kind = "vs-knn"
    _model_fields = ("k", "sample_size", "similarity", "weighting", "weighting_score", "idf_weighting",)
    _training_fields = ()

    def __init__(
        self,
        *,
        k: int = 500,
        sample_size: int = 5000,
        similarity: str = "vec",
        weighting: str = "div",
        weighting_score: str = "div",
        idf_weighting: float = 5.0,
    ) -> None:
        self.k = k
        self.sample_size = sample_size
        self.similarity = similarity
        self.weighting = weighting
        self.weighting_score = weighting_score
        self.idf_weighting = idf_weighting


class STAN(Recommender):
    """The items of similar sessions, with weights by position, age and distance.

    Parameters
    ----------
    k : int, default 500
        Number of neighbours, 1 or more. The default is our choice: the best of several settings on validation
        sessions of yoochoose1_64.
    sample_size : int, default 5000
        m, the number of candidates, 1 or more: the most recent sessions with an item in common. The default is our
        choice: the best of several settings on validation sessions of yoochoose1_64.
    lambda1 : float, default 0.905
        λ1 in events, 0 or above: the item at position `p` of `L` in the current session has weight `exp((p − L) /
        λ1)` in the similarity; 0 turns the weight off (the paper's λ1 = ∞). The default is our choice: the best of
        several settings on validation sessions of yoochoose1_64.
    lambda2 : float, default 3.62
        λ2 in days, 0 or above: a neighbour that began `d` days before the current session has weight `exp(−d /
        λ2)`; 0 turns the weight off (the paper's λ2 = ∞). The default is our choice: the best of several settings
        on validation sessions of yoochoose1_64.
    lambda3 : float, default 0.905
        λ3 in events, 0 or above: an item of a neighbour has weight `exp(−distance / λ3)`, by its distance there
        from the last item of the current session that the neighbour contains; 0 turns the weight off (the paper's
        λ3 = ∞). The default is our choice: the best of several settings on validation sessions of yoochoose1_64.
    """

    kind = "stan"
    _model_fields = ("k", "sample_size", "lambda1", "lambda2", "lambda3",)
    _training_fields = ()

    def __init__(
        self,
        *,
        k: int = 500,
        sample_size: int = 5000,
        lambda1: float = 0.905,
        lambda2: float = 3.62,
        lambda3: float = 0.905,
    ) -> None:
        self.k = k
        self.sample_size = sample_size
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.lambda3 = lambda3


class VSTAN(Recommender):
    """STAN with VS-KNN's weights.

    Parameters
    ----------
    k : int, default 500
        Number of neighbours, 1 or more. The default is our choice: the best of several settings on validation
        sessions of yoochoose1_64.
    sample_size : int, default 5000
        m, the number of candidates, 1 or more: the most recent sessions with an item in common. The default is our
        choice: the best of several settings on validation sessions of yoochoose1_64.
    similarity : str, default "cosine"
        The similarity of two sessions as sets of items: `cosine` or `vec` (dot product). The default is our choice:
        the best of several settings on validation sessions of yoochoose1_64.
    lambda1 : float, default 1.81
        λ1 in events, 0 or above: the item at position `p` of `L` in the current session has weight `exp((p − L) /
        λ1)` in the similarity; 0 turns the weight off (the paper's λ1 = ∞). The default is our choice: the best of
        several settings on validation sessions of yoochoose1_64.
    lambda2 : float, default 3.62
        λ2 in days, 0 or above: a neighbour that began `d` days before the current session has weight `exp(−d /
        λ2)`; 0 turns the weight off (the paper's λ2 = ∞). The default is our choice: the best of several settings
        on validation sessions of yoochoose1_64.
    lambda3 : float, default 1.81
        λ3 in events, 0 or above: an item of a neighbour has weight `exp(−distance / λ3)`, by its distance there
        from the last item of the current session that the neighbour contains; 0 turns the weight off (the paper's
        λ3 = ∞). The default is our choice: the best of several settings on validation sessions of yoochoose1_64.
    weighting_score : str, default "div"
        Weight of a neighbour in the scores, by the position in the current session of the last item that the
        neighbour contains: `same` (none), `div`, `linear`, `quadratic` or `log`. The default is our choice: the
        best of several settings on validation sessions of yoochoose1_64.
    idf_weighting : float, default 5.0
        Scores are multiplied by `1 + idf_weighting · ln(N / N_i)`, with `N` training sessions of which `N_i`
        contain the item: 0 to 1e6; 0 turns it off. The default is our choice: the best of several settings on
        validation sessions of yoochoose1_64.
    """

    kind = "vstan"
    _model_fields = ("k", "sample_size", "similarity", "lambda1", "lambda2", "lambda3", "weighting_score", "idf_weighting",)
    _training_fields = ()

    def __init__(
        self,
        *,
        k: int = 500,
        sample_size: int = 5000,
        similarity: str = "cosine",
        lambda1: float = 1.81,
        lambda2: float = 3.62,
        lambda3: float = 1.81,
        weighting_score: str = "div",
        idf_weighting: float = 5.0,
    ) -> None:
        self.k = k
        self.sample_size = sample_size
        self.similarity = similarity
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.lambda3 = lambda3
        self.weighting_score = weighting_score
        self.idf_weighting = idf_weighting


class BPRMF(Recommender):
    """Matrix factorisation of sessions and items, trained with BPR.

    Parameters
    ----------
    factors : int, default 100
        Dimension of the vectors of sessions and items, 1 to 65,536. The default is the number of units of [1]'s
        networks.
    learning_rate : float, default 0.1
        Learning rate η, above 0. The default is our choice: [1] gives no value.
    regularization : float, default 0.003
        Strength of L2 regularisation, 0 ≤ λ < 1 / η: `λ θ` is added to the gradient. The default is our choice: [1]
        gives no value.
    epochs : int, default 20
        Epochs of as many draws as the training sessions have events, 1 or more. The default is our choice: [1]
        gives no value.
    item_biases : bool, default False
        Whether items have a bias in their score: `True` or `False`. The default is our choice: a new session's
        vector is a mean of item vectors and not fitted, so that the biases, which follow popularity, outweigh it.
        The shorter the training, the closer the figures come to POP's.
    seed : int, default 42
        Seed of initial weights, samples, dropout and shuffling: from 0 to below 2⁶³. The default is our choice.

    [1] Hidasi et al., ICLR 2016.
    """

    kind = "bpr-mf"
    _model_fields = ("factors", "learning_rate", "regularization", "epochs", "item_biases",)
    _training_fields = ("seed",)

    def __init__(
        self,
        *,
        factors: int = 100,
        learning_rate: float = 0.1,
        regularization: float = 0.003,
        epochs: int = 20,
        item_biases: bool = False,
        seed: int = 42,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.epochs = epochs
        self.item_biases = item_biases
        self.seed = seed


class SessionAverage(Recommender):
    """Item factors, with the session as the average of its items, trained on pairs.

    Parameters
    ----------
    factors : int, default 100
        Dimension of the vectors of items, 1 to 65,536. The default is the number of units of [1]'s networks.
    learning_rate : float, default 0.1
        Learning rate η, above 0. The default is our choice.
    regularization : float, default 0.0003
        Strength of L2 regularisation, 0 ≤ λ < 1 / η: `λ θ` is added to the gradient. The default is our choice.
    epochs : int, default 40
        Epochs of as many draws as there are training pairs, 1 or more. The default is our choice.
    item_biases : bool, default False
        Whether items have a bias in their score: `True` or `False`. The default is our choice: biases brought no
        gain.
    seed : int, default 42
        Seed of initial weights, samples, dropout and shuffling: from 0 to below 2⁶³. The default is our choice.

    [1] Hidasi et al., ICLR 2016.
    """

    kind = "session-average"
    _model_fields = ("factors", "learning_rate", "regularization", "epochs", "item_biases",)
    _training_fields = ("seed",)

    def __init__(
        self,
        *,
        factors: int = 100,
        learning_rate: float = 0.1,
        regularization: float = 0.0003,
        epochs: int = 40,
        item_biases: bool = False,
        seed: int = 42,
    ) -> None:
        self.factors = factors
        self.learning_rate = learning_rate
        self.regularization = regularization
        self.epochs = epochs
        self.item_biases = item_biases
        self.seed = seed


class Blend(Recommender):
    """A pool of other models, with weights that are learnt on the newest sessions.

    Parameters
    ----------
    members : Sequence[str | dict | Recommender], default ("gru4rec", "vstan", "sr", "repeat",)
        The members, 2 to 16: names of kinds, such as `["gru4rec", "vstan"]`, or tables with a `kind` and its
        fields. Networks are trained by the `[training]` table, of which a member's own `training` table changes
        fields, as in `{ kind = "gru4rec", training = { seed = 7 } }`. A member is named after its kind, or by a
        `name`. The default is our choice.
    depth : int, default 100
        Number of items that each member lists, 20 to 10,000. The default is our choice.
    held_out : float, default 0.1
        Share of the training sessions, the newest ones, on which the weights are learnt, above 0 and below 1. The
        default is our choice.
    epochs : int, default 10
        Passes over the training sessions, 1 or more. The default is that of Hidasi and Czapp (RecSys 2023) for
        RSC15.
    batch_size : int, default 32
        Rows of a mini-batch, one session each, 1 or more (2 or more without additional samples). The default is
        that of Hidasi and Czapp (RecSys 2023) for RSC15.
    samples : int, default 2048
        Additional negative samples of a mini-batch, shared by its rows, 0 or more. With 0, a row's negatives are
        the other rows' targets, as in [1]. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    sample_alpha : float, default 0.75
        α, 0 or above: samples are drawn with probability ∝ support^α; 0 is uniform, 1 is by popularity. The default
        is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    mask_own_target : bool, default False
        Whether scored items equal to a row's own target are excluded from that row's negatives: `True` or `False`.
        The default is that of [1], which keeps them.
    loss : str, default "cross-entropy"
        The loss: `cross-entropy`, `top1`, `bpr`, `top1-max`, `bpr-max` or `mrr`. The default is that of Hidasi and
        Czapp (RecSys 2023) for RSC15.
    logq : float | None, default None
        Strength of the logQ correction of cross-entropy, from 0 (off) to 1; 0 with other losses. If absent, 1 with
        cross-entropy, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 with other losses.
    bpr_max_penalty : float, default 1.0
        λ, 0 or above: weight of the score penalty of BPR-max [2], which other losses do not have. The default is
        that of [2] for RSC15.
    dropout_embedding : float | None, default None
        Probability of dropping an element of the input vector in training, 0 ≤ p < 1, for `embedding` and `shared`
        input only. If absent, 0.1 for these inputs, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 for the
        others.
    dropout_item : float, default 0.1
        Probability of leaving out an item's own vector in a training step, 0 ≤ p < 1, so that those of its
        `model.attributes` learn to stand alone (after DropoutNet, Volkovs et al. 2017). The default is our choice.
    dropout_hidden : float, default 0.0
        Probability of dropping a unit of a layer's output in training, 0 ≤ p < 1. The default is that of Hidasi and
        Czapp (RecSys 2023) for RSC15.
    optimizer : str, default "adagrad"
        The optimiser: `adagrad`, `rmsprop`, `sgd` or `adam`. The default is the best of [1].
    learning_rate : float, default 0.1
        Learning rate η, above 0. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
    momentum : float, default 0.0
        Momentum μ, 0 ≤ μ < 1: `v ← μ v + Δ`, `θ ← θ + v`. The default is that of Hidasi and Czapp (RecSys 2023) for
        RSC15.
    epsilon : float | None, default None
        ε, above 0, added inside the square root of Adagrad and RMSProp and outside that of Adam; SGD has none. If
        absent, 1e-6, our choice, and for Adam 1e-8, that of Kingma and Ba (2015).
    rmsprop_decay : float, default 0.9
        ρ of RMSProp, 0 ≤ ρ < 1. The default is that of Tieleman and Hinton (2012).
    adam_beta1 : float, default 0.9
        β₁ of Adam, 0 ≤ β₁ < 1. The default is that of Kingma and Ba (2015).
    adam_beta2 : float, default 0.999
        β₂ of Adam, 0 ≤ β₂ < 1. The default is that of Kingma and Ba (2015).
    l2 : float, default 0.0
        Strength of L2 regularisation, 0 or above: `l2 · θ` is added to the gradient of each parameter that a step
        updates. The default, 0, turns it off, our choice: no published setting has it.
    clip_norm : float, default 0.0
        Largest global L2 norm of a step's gradient, 0 or above: larger gradients are scaled down to it. The
        default, 0, turns clipping off, our choice: no published setting has it.
    session_order : str, default "time"
        The order of the sessions in an epoch: `time` (oldest first, so that the last updates use the newest
        sessions) or `shuffled` (random, by seed and epoch). The default is our choice.
    patience : int, default 0
        Early stopping: training stops after this many epochs without a better validation MRR. The default, 0, turns
        it off; other values need validation sessions (`validation`). Our choice: no published setting has it.
    seed : int, default 42
        Seed of initial weights, samples, dropout and shuffling: from 0 to below 2⁶³. The default is our choice.

    [1] Hidasi et al., ICLR 2016.
    [2] Hidasi and Karatzoglou, CIKM 2018.
    """

    kind = "blend"
    _model_fields = ("members", "depth", "held_out",)
    _training_fields = ("epochs", "batch_size", "samples", "sample_alpha", "mask_own_target", "loss", "logq", "bpr_max_penalty", "dropout_embedding", "dropout_item", "dropout_hidden", "optimizer", "learning_rate", "momentum", "epsilon", "rmsprop_decay", "adam_beta1", "adam_beta2", "l2", "clip_norm", "session_order", "patience", "seed",)

    def __init__(
        self,
        *,
        members: Sequence[str | dict | Recommender] = ("gru4rec", "vstan", "sr", "repeat",),
        depth: int = 100,
        held_out: float = 0.1,
        epochs: int = 10,
        batch_size: int = 32,
        samples: int = 2048,
        sample_alpha: float = 0.75,
        mask_own_target: bool = False,
        loss: str = "cross-entropy",
        logq: float | None = None,
        bpr_max_penalty: float = 1.0,
        dropout_embedding: float | None = None,
        dropout_item: float = 0.1,
        dropout_hidden: float = 0.0,
        optimizer: str = "adagrad",
        learning_rate: float = 0.1,
        momentum: float = 0.0,
        epsilon: float | None = None,
        rmsprop_decay: float = 0.9,
        adam_beta1: float = 0.9,
        adam_beta2: float = 0.999,
        l2: float = 0.0,
        clip_norm: float = 0.0,
        session_order: str = "time",
        patience: int = 0,
        seed: int = 42,
    ) -> None:
        self.members = members
        self.depth = depth
        self.held_out = held_out
        self.epochs = epochs
        self.batch_size = batch_size
        self.samples = samples
        self.sample_alpha = sample_alpha
        self.mask_own_target = mask_own_target
        self.loss = loss
        self.logq = logq
        self.bpr_max_penalty = bpr_max_penalty
        self.dropout_embedding = dropout_embedding
        self.dropout_item = dropout_item
        self.dropout_hidden = dropout_hidden
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.epsilon = epsilon
        self.rmsprop_decay = rmsprop_decay
        self.adam_beta1 = adam_beta1
        self.adam_beta2 = adam_beta2
        self.l2 = l2
        self.clip_norm = clip_norm
        self.session_order = session_order
        self.patience = patience
        self.seed = seed
