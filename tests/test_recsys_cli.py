"""`graphembed recommend` and `graphembed recsys evaluate`."""

import csv
import gzip
import inspect
import io
import json

import pytest

from graphembed import recsys
from graphembed.cli import _options, main
from graphembed.cli._recsys_options import MODELS
from graphembed.recsys import EASE, Interactions, Recommender, make_interactions, random_split

DATA = make_interactions(60, 40, per_user=10, random_state=0).interactions


def run(*args):
    """Run in this process; return the exit code as a shell would see it."""
    try:
        return main([str(arg) for arg in args])
    except SystemExit as exit_:
        return exit_.code


def error_line(capsys):
    """Return the one line on stderr; nothing may have been printed to stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("graphembed: error: ")
    assert err.count("\n") == 1
    return err[len("graphembed: error: ") : -1]


def entries(data):
    coo = data.matrix.tocoo()
    ids = data.user_ids[coo.row].tolist(), data.item_ids[coo.col].tolist()
    return zip(*ids, coo.data.tolist(), data.times.tolist(), strict=True)


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """Write the same interactions in every format."""
    folder = tmp_path_factory.mktemp("tables")
    rows = [(user, item, int(rating), time) for user, item, rating, time in entries(DATA)]
    lines = "".join(f"{u},{i},{r},{t}\n" for u, i, r, t in rows)
    paths = {name: folder / f"table{name}" for name in (".csv", ".inter", ".dat", ".txt", ".gz")}
    paths[".csv"].write_text("user,item,stars,at\n" + lines)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    paths[".inter"].write_text(head + lines.replace(",", "\t"))
    paths[".dat"].write_text(lines.replace(",", "::"))
    lists = {}
    for user, item, _, _ in rows:
        lists.setdefault(user, []).append(str(item))
    paths[".txt"].write_text("".join(f"{u} {' '.join(items)}\n" for u, items in lists.items()))
    paths[".gz"] = folder / "table.csv.gz"
    paths[".gz"].write_bytes(gzip.compress(paths[".csv"].read_bytes()))
    return paths


def read_lists(text):
    lists = {}
    for row in csv.DictReader(io.StringIO(text)):
        ranked = lists.setdefault(row["user"], [])
        ranked.append((row["item"], float(row["score"])))
        assert int(row["rank"]) == len(ranked)
    return lists


# ---------------------------------------------------------------- recommend


@pytest.mark.parametrize("suffix", [".csv", ".inter", ".dat", ".txt", ".gz"])
def test_every_format_gives_the_lists_of_python(tables, capsys, suffix):
    assert run("recommend", tables[suffix], "--model", "ease", "--k", 5, "--users", 3, 0) == 0
    lists = read_lists(capsys.readouterr().out)
    known = Interactions.from_csv(tables[".csv"], user="user", item="item")
    ids, scores = EASE().fit(known).recommend([3, 0], k=5)
    assert list(lists) == ["3", "0"]
    for user, row, values in zip(("3", "0"), ids.tolist(), scores, strict=True):
        assert [item for item, _ in lists[user]] == [str(item) for item in row]
        assert [score for _, score in lists[user]] == pytest.approx(values, rel=1e-6)


def test_parquet_in_and_out(tables, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("graphembed.cli._recsys._USERS_PER_BLOCK", 7)
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(tables[".csv"]).rename(columns={"user": "who", "item": "what"})
    frame.to_parquet(tmp_path / "table.parquet")
    out = tmp_path / "lists.parquet"
    args = ["--user", "who", "--item", "what", "--model", "popularity", "--k", 3, "-o", out]
    assert run("recommend", tmp_path / "table.parquet", *args) == 0
    assert capsys.readouterr().out == f"{out}: lists of 3 items for 60 users\n"
    lists = pandas.read_parquet(out)
    assert lists.columns.tolist() == ["user", "item", "rank", "score"]
    assert len(lists) == 180
    assert lists["rank"].tolist() == [1, 2, 3] * 60
    assert run("recommend", tmp_path / "table.parquet", *args[:-2]) == 0
    printed = read_lists(capsys.readouterr().out)
    for user, rows in lists.groupby("user"):
        items, scores = zip(*printed[str(user)], strict=True)
        assert rows["item"].astype(str).tolist() == list(items)
        assert rows["score"].tolist() == pytest.approx(scores, rel=1e-6)


def test_outputs_say_the_same(tables, tmp_path):
    args = ["recommend", tables[".csv"], "--model", "popularity", "--k", 4]
    for suffix in ("csv", "tsv", "jsonl"):
        assert run(*args, "-o", tmp_path / f"lists.{suffix}") == 0
    plain = tmp_path.joinpath("lists.csv").read_text()
    assert tmp_path.joinpath("lists.tsv").read_text() == plain.replace(",", "\t")
    lists = read_lists(plain)
    lines = map(json.loads, tmp_path.joinpath("lists.jsonl").read_text().splitlines())
    for line in lines:
        ranked = lists.pop(str(line["user"]))
        assert [int(item) for item, _ in ranked] == line["items"]
        assert [score for _, score in ranked] == pytest.approx(line["scores"], rel=1e-6)
    assert not lists


def test_a_saved_model_recommends_the_same(tables, tmp_path, capsys):
    path = tmp_path / "model.gemb"
    args = ["--k", 5, "--users", 1, 2]
    assert run("recommend", tables[".csv"], "--model", "ease", "--save", path, *args) == 0
    fitted, err = capsys.readouterr()
    assert err == f"{path}: the model\n"
    assert run("recommend", path, *args) == 0
    assert capsys.readouterr().out == fitted
    assert isinstance(Recommender.load(path), EASE)


def test_what_was_seen_and_lists_that_end(tables, capsys):
    args = ["recommend", tables[".csv"], "--model", "popularity", "--users", 0]
    assert run(*args, "--k", 100) == 0
    rest = {int(item) for item, _ in read_lists(capsys.readouterr().out)["0"]}
    assert run(*args, "--k", 100, "--no-filter-seen") == 0
    every = {int(item) for item, _ in read_lists(capsys.readouterr().out)["0"]}
    seen = DATA.item_ids[DATA.matrix[0].indices].tolist()
    assert every - rest == set(seen)
    assert not rest & set(seen)


def test_options_of_the_table_are_obeyed(tables, tmp_path):
    args = ["recommend", tables[".csv"], "--model", "popularity", "--save"]
    assert run(*args, tmp_path / "a.gemb") == 0
    assert run(*args, tmp_path / "b.gemb", "--rating", "stars", "--min-rating", 4) == 0
    assert run(*args, tmp_path / "c.gemb", "--rating", "stars", "--no-implicit") == 0
    assert run(*args, tmp_path / "d.gemb", "--k-core", 5) == 0
    every, liked, rated, core = (
        Recommender.load(tmp_path / f"{name}.gemb").train_ for name in "abcd"
    )
    assert every.n_interactions == DATA.n_interactions
    assert liked.n_interactions == int((DATA.matrix.data >= 4).sum())
    assert not every.is_weighted
    assert sorted(rated.matrix.data.tolist()) == sorted(DATA.matrix.data.tolist())
    wanted = Interactions.from_csv(tables[".csv"], user="user", item="item").k_core(5)
    assert core == wanted


def test_parameters_and_seed_reach_the_model(tables, tmp_path):
    path = tmp_path / "model.gemb"
    assert (
        run("recommend", tables[".csv"], "--model", "ease", "--params", "l2=7", "--save", path) == 0
    )
    assert Recommender.load(path).l2 == 7


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["{csv}", "--users", "77"], "there is no user 77"),
        (["{csv}", "--users", "ann"], "there is no user 'ann'"),
        (["{csv}", "--user", "who"], "has no column 'who'; say with --user which one"),
        (["{csv}", "--model", "ease", "--params", "l2=1", "l2=2"], "--params l2 is given twice"),
        (["nowhere.csv", "--users", "1"], "nowhere.csv: No such file or directory"),
        (["{csv}", "--model", "ease", "--params", "k=3"], "ease has no parameter 'k', only"),
        (["{csv}", "--model", "ease", "--params", "l2=-1"], "EASE: l2 must be"),
        (
            ["{csv}", "-o", "lists.txt"],
            "'lists.txt' must end in .csv or .tsv or .jsonl or",
        ),
        (["{csv}", "--save", "model.bin"], "'model.bin' must end in .gemb"),
        (["{csv}", "-o", "nowhere/lists.csv"], "nowhere: the output's folder does not exist"),
        (["{csv}", "-o", "{csv}"], "the output would overwrite the input"),
        (["nowhere.csv"], "nowhere.csv: No such file or directory"),
        (["{csv}", "--k-core", "99"], "no user is left with 99 items"),
        (["{csv}", "--rating", "stars", "--min-rating", "99"], "--min-rating 99 leaves no"),
        (["{dat}", "--format", "csv"], "has no column 'user'"),
    ],
)
def test_failures_are_one_line(tables, capsys, args, message):
    names = {name.removeprefix("."): path for name, path in tables.items()}
    assert run("recommend", *(arg.format(**names) for arg in args)) == 1
    assert message in error_line(capsys)


def test_a_suffix_that_tells_nothing(tmp_path, capsys):
    path = tmp_path / "table.log"
    path.write_text("1\t2\n1\t3\n2\t2\n")
    assert run("recommend", path) == 1
    assert "or --format must say what it is" in error_line(capsys)
    assert run("recommend", path, "--format", "movielens", "--model", "popularity", "--k", 1) == 0
    assert list(read_lists(capsys.readouterr().out)) == ["2"]  # user 1 has everything


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["recommend", "{txt}", "--user", "u"],
            "argument --user has no effect here: a file of",
        ),
        (
            ["recommend", "{dat}", "--time", "t"],
            "argument --time has no effect here: a file of",
        ),
        (["recommend", "{csv}", "--model", "bert"], "argument --model: invalid choice: 'bert'"),
        (["recommend", "{csv}", "--k", "0"], "argument --k: must be an int >= 1"),
        (["recommend", "{csv}", "--params", "l2"], "must be a name, '=' and a value, got 'l2'"),
        (["recsys", "evaluate", "{csv}", "--models", "ease,bert"], "'bert' is none of popularity"),
        (["recsys", "evaluate", "{csv}", "--ks", "10,x"], "must be whole numbers >= 1 between"),
        (["recsys", "train", "{csv}"], "invalid choice: 'train'"),
        (
            ["recsys", "evaluate", "{csv}", "--split", "leave-one-out", "--test-fraction", "0.1"],
            "argument --test-fraction has no effect here: leave-one-out takes one",
        ),
        (
            ["recsys", "evaluate", "{csv}", "--test", "{csv}", "--split", "random"],
            "argument --split has no effect here: --test holds the test part",
        ),
        (
            ["recommend", "{csv}", "--min-rating", "4"],
            "argument --min-rating has no effect here: --rating must name the column",
        ),
        (
            ["recsys", "evaluate", "{txt}", "--min-rating", "4"],
            "argument --min-rating has no effect here: a file of the format lightgcn has no",
        ),
    ],
)
def test_wrong_usage_exits_2(tables, capsys, args, message):
    names = {name.removeprefix("."): path for name, path in tables.items()}
    assert run(*(arg.format(**names) for arg in args)) == 2
    assert message in error_line(capsys)


def test_a_saved_model_refuses_options_of_a_table(tables, tmp_path, capsys):
    path = tmp_path / "model.gemb"
    EASE().fit(DATA).save(path)
    for option in (["--user", "u"], ["--model", "ease"], ["--params", "l2=1"], ["--seed", "1"]):
        assert run("recommend", path, *option) == 2
        message = f"argument {option[0]} has no effect here: the model is fitted already"
        assert message in error_line(capsys)


@pytest.mark.parametrize("command", ["recommend", "recsys"])
def test_help_shows_every_default(capsys, command):
    assert run(command, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    for action in _options.build_parser()[1][command]._actions:
        if action.default not in (None, False, "==SUPPRESS=="):
            assert f"(default: {action.default})" in text


def test_every_model_is_there():
    for name in MODELS.values():
        kind = getattr(recsys, name)
        assert issubclass(kind, Recommender)
        assert "train" in inspect.signature(kind.fit).parameters


# ---------------------------------------------------------------- recsys evaluate


def columns(out):
    """Numbers of the printed table, by model."""
    rows = {}
    for line in out.splitlines():
        name, *rest = line.split()
        if name in MODELS:
            rows[name] = rest
    return rows


@pytest.mark.parametrize("split", ["random", "leave-one-out", "user-time", "global-time"])
def test_evaluate_compares(tables, capsys, split):
    args = ["--models", "popularity,ease", "--time", "at", "--split", split, "--ks", "5,10"]
    assert run("recsys", "evaluate", tables[".csv"], *args) == 0
    out = capsys.readouterr().out
    assert out.startswith("train ")
    assert set(columns(out)) == {"popularity", "ease"}
    for k in (5, 10):
        assert f"recall@{k}" in out
    assert run("recsys", "evaluate", tables[".csv"], *args) == 0


def test_evaluate_says_what_python_says(tables, capsys):
    args = ["--models", "ease", "--ks", "10", "--seed", 3, "--params", "ease.l2=50"]
    assert run("recsys", "evaluate", tables[".csv"], *args) == 0
    out = capsys.readouterr().out
    table = Interactions.from_csv(tables[".csv"], user="user", item="item")
    split = random_split(table, random_state=3)
    scores = recsys.evaluate(EASE(l2=50).fit(split.train), split.train, split.test, ks=10)
    assert f"{scores['recall@10']:.4f}" in " ".join(columns(out)["ease"])


def test_a_test_part_of_its_own(tables, tmp_path, capsys):
    split = random_split(DATA, val=0, test=0.3, random_state=0)
    for name, part in (("train", split.train), ("test", split.test)):
        rows = zip(*part.matrix.nonzero(), strict=True)
        text = "".join(f"{user},{item}\n" for user, item in rows)
        tmp_path.joinpath(f"{name}.csv").write_text("user,item\n" + text)
    args = [tmp_path / "train.csv", "--test", tmp_path / "test.csv", "--models", "popularity"]
    assert run("recsys", "evaluate", *args, "--val-fraction", 0) == 0
    out = capsys.readouterr().out
    n_train, n_test = split.train.n_interactions, split.test.n_interactions
    assert f"train {n_train:,}, validation 0, test {n_test:,} interactions" in out
    assert run("recsys", "evaluate", tmp_path / "train.csv", "--test", tmp_path / "train.csv") == 1
    assert "interactions are in train and in test" in error_line(capsys)


def test_evaluate_failures(tables, capsys):
    assert run("recsys", "evaluate", tables[".csv"], "--split", "global-time") == 1
    assert "the interactions have no times: name the column with --time, or" in error_line(capsys)
    assert (
        run("recsys", "evaluate", tables[".csv"], "--models", "ease", "--params", "ease.l2=0") == 1
    )
    assert "EASE: l2 must be" in error_line(capsys)
    assert run("recsys", "evaluate", tables[".csv"], "--params", "ease.l2=1") == 1
    assert "--params ease.l2: it must begin with one of popularity" in error_line(capsys)


def test_unknown_users_are_found_before_the_fit(tables, tmp_path, capsys):
    path = tmp_path / "model.gemb"
    assert run("recommend", tables[".csv"], "--users", 77, "--save", path) == 1
    assert "there is no user 77" in error_line(capsys)
    assert not path.exists()


def test_two_files_have_one_typing_and_one_train_part(tmp_path, capsys):
    lines = [f"{u},{(u + 3 * j) % 20}\n" for u in range(30) for j in range(6)]
    (tmp_path / "train.csv").write_text("user,item\n" + "".join(lines))
    test = [f"{u},{(u + 18) % 20}\n" for u in range(30)]
    args = ["recsys", "evaluate", tmp_path / "train.csv", "--test", tmp_path / "test.csv"]
    args += ["--models", "itemknn", "--ks", "5"]
    rows = []
    for extra in ("", "0,gin\n"):
        (tmp_path / "test.csv").write_text("user,item\n" + "".join(test) + extra)
        for options in ([], ["--val-fraction", "0.2"]):  # itemknn takes no validation
            assert run(*args, *options) == 0
            out = capsys.readouterr().out
            assert "train 180, validation 0" in out
            rows.append(columns(out)["itemknn"][:1])
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert float(rows[2][0]) > 0.9 * float(rows[0][0]) > 0
    for fraction in ("0", "0.2"):
        (tmp_path / "test.csv").write_text("user,item\n" + lines[0])
        assert run(*args, "--val-fraction", fraction) == 1
        assert "1 interactions are in train and in test" in error_line(capsys)
