"""Files as people have them: what is read, and how each kind that cannot be is refused."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.reader import CorpusError, Entry, Format, describe, read_corpus

BREAD = {"questions": ("Do you bake bread?",), "answer": "Each morning, at six."}
CAKE = {"questions": ("And cake?",), "answer": "On order."}


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, **given: Any) -> list[dict[str, Any]]:
    """The entries, without ids that are only indices and without empty fields."""
    entries = []
    for number, entry in enumerate(read_corpus(path, "faq", format_=Format(**given))):
        found: dict[str, Any] = {"questions": entry.questions, "answer": entry.answer}
        if entry.id != str(number):
            found["id"] = entry.id
        if entry.fields:
            found["fields"] = entry.fields
        entries.append(found)
    return entries


def refusal(path: Path, **given: Any) -> str:
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, "faq", format_=Format(**given))
    assert caught.value.count == 1, caught.value
    return str(caught.value)


def warnings(path: Path, **given: Any) -> tuple[str, ...]:
    return describe(path, "faq", format_=Format(**given)).warnings


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", 'question,answer\n"Do you bake bread?","Each morning, at six."\nAnd cake?,On'),
        ("semicolon.csv", "question;answer\nDo you bake bread?;Each morning, at six.\nAnd cake?;On"),
        ("no_header.csv", "Do you bake bread?;Each morning, at six.\nAnd cake?;On"),
        ("tab.tsv", "question\tanswer\nDo you bake bread?\tEach morning, at six.\nAnd cake?\tOn"),
        ("tab.csv", "Do you bake bread?\tEach morning, at six.\nAnd cake?\tOn"),
        ("bar.csv", "question|answer\nDo you bake bread?|Each morning, at six.\nAnd cake?|On"),
        ("sep.csv", "sep=;\r\nDo you bake bread?;Each morning, at six.\r\nAnd cake?;On"),
        ("quoted_sep.csv", '"sep=|"\nDo you bake bread?|Each morning, at six.\nAnd cake?|On'),
        ("spaces.csv", 'question, answer\n"Do you bake bread?", "Each morning, at six."\nAnd cake?, On'),
        ("cr.csv", 'question,answer\rDo you bake bread?,"Each morning, at six."\rAnd cake?,On'),
        ("two_boms.csv", '\ufeff\ufeff"question","answer"\nDo you bake bread?,"Each morning, at six."\nAnd cake?,On'),
        ("zero_width.csv", "\u200bquestion;\u200banswer\nDo you bake bread?;Each morning, at six.\nAnd cake?;On"),
        ("reversed.csv", 'answer,question\n"Each morning, at six.",Do you bake bread?\nOn,And cake?'),
        ("below_a_title.csv", "Our bakery;\n;\nquestion;answer\nDo you bake bread?;Each morning, at six.\nAnd cake?;On"),
        ("empty.csv", "question;answer;\n;;\nDo you bake bread?;Each morning, at six.;\n;;\nAnd cake?;On;\n;;\n"),
        ("index.csv", ";question;answer\n0;Do you bake bread?;Each morning, at six.\n1;And cake?;On"),
        ("markdown.txt", "| Question | Answer |\n|:--|--:|\n| Do you bake bread? | Each morning, at six. |\n| And cake? | On |\n"),
        ("excel.txt", "question\tanswer\nDo you bake bread?\tEach morning, at six.\nAnd cake?\tOn".encode("utf-16")),
        ("big_endian.csv", b"\xfe\xff" + "question\tanswer\nDo you bake bread?\tEach morning, at six.\nAnd cake?\tOn".encode("utf-16-be")),
        ("lines.jsonl", '{"Question":"Do you bake bread?","ANSWER":"Each morning, at six."}\n{"q":"And cake?","a":"On"}'),
        ("pretty.yaml", "- question: Do you bake bread?\n  answer: Each morning, at six.\n- question: And cake?\n  answer: On\n"),
        ("map.yml", "faq:\n  Do you bake bread?: Each morning, at six.\n  And cake today?: On\n"),
    ],
)  # fmt: skip
def test_tables_and_lines_are_read_however_they_are_written(tmp_path, name, content):
    first, second = read(write(tmp_path, name, content))
    assert (first["questions"], first["answer"]) == (BREAD["questions"], BREAD["answer"])
    assert second["answer"] == "On"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Frage", "Antwort"),
        ("QUESTION", "RÉPONSE"),
        ("pregunta_frecuente", "Respuesta:"),
        ("Pergunta", "Resposta"),
        ("Domanda", "Risposta"),
        ("Vraag", "Antwoord"),
        ("Pytanie", "Odpowiedź"),
        ("Otázka", "Odpověď"),
        ("Întrebare", "Răspuns"),
        ("Kérdés", "Válasz"),
        ("Kysymys", "Vastaus"),
        ("Fråga", "Svar"),
        ("Ερώτηση", "Απάντηση"),
        ("Вопрос", "Ответ"),
        ("Питання", "Відповідь"),
        ("Soru", "Cevap"),
        ("السؤال", "الجواب"),
        ("שאלה", "תשובה"),
        ("سوال", "پاسخ"),
        ("प्रश्न", "उत्तर"),
        ("প্রশ্ন", "উত্তর"),
        ("คำถาม", "คำตอบ"),
        ("Câu hỏi", "Trả lời"),
        ("Pertanyaan", "Jawaban"),
        ("问题", "答案"),
        ("問題", "答覆"),
        ("質問", "回答"),
        ("질문", "답변"),
        ("Swali", "Jibu"),
        ("Question (EN)", "AnswerText"),
        ("faq_question", "faq-answer"),
        ("prompt", "completion"),
    ],
)
def test_headers_are_known_in_many_languages(tmp_path, question, answer):
    table = write(tmp_path, "f.csv", f"{answer},{question}\nOn order.,And cake?\n")
    assert read(table) == [CAKE]
    keys = json.dumps([{answer: "On order.", question: "And cake?"}])
    assert read(write(tmp_path, "f.json", keys)) == [CAKE]


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"question": "And cake?", "answer": "On order."}, {}),
        ({"questions": [{"question": "And cake?", "answer": "On order."}]}, {}),
        ({"title": "Bakery", "description": "All of it.", "faqs": [{"q": "And cake?", "a": "On order."}]}, {"category": "Bakery"}),
        ({"data": {"items": [{"question": "And cake?", "answer": {"text": "On order."}}]}}, {}),
        ({"SchemaVersion": 1, "FaqDocuments": [{"Question": "And cake?", "Answer": "On order.", "Attributes": {"_category": "sweets", "_source_uri": "https://x"}}]}, {"category": "sweets", "url": "https://x"}),
        ({"qna": [{"q": ["And cake?"], "a": "On order.", "type": "qna"}]}, {"type": "qna"}),
        ({"qnaList": [{"questions": ["And cake?"], "answer": "On order.", "metadata": [{"name": "shop", "value": "south"}]}]}, {"shop": "south"}),
        ({"version": "1.1", "data": [{"title": "Bakery", "paragraphs": [{"context": "Cake on order.", "qas": [{"question": "And cake?", "answers": [{"text": "On order.", "answer_start": 5}]}]}]}]}, {"category": "Bakery"}),
        ({"@context": "https://schema.org", "@type": "FAQPage", "mainEntity": [{"@type": "Question", "name": "And cake?", "acceptedAnswer": {"@type": "Answer", "text": "On order."}}]}, {}),
        ([{"@graph": [{"@type": "WebSite", "name": "x"}, {"@type": "FAQPage", "mainEntity": [{"@type": "Question", "name": "And cake?", "acceptedAnswer": {"text": "On order."}}]}]}], {}),
        ({"categories": [{"name": "sweets", "questions": [{"question": "And cake?", "answer": "On order."}]}]}, {"category": "sweets"}),
        ({"sweets": {"And cake?": "On order."}}, {"category": "sweets"}),
        ({"k1": {"question": "And cake?", "answer": "On order."}}, {}),
        ({"question": {"0": "And cake?"}, "answer": {"0": "On order."}}, {}),
        ([["Question", "Answer"], ["And cake?", "On order."]], {}),
        ({"intents": [{"tag": "cake", "patterns": ["And cake?"], "responses": ["On order."]}]}, {"tag": "cake"}),
        ({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "And cake?"}, {"role": "assistant", "content": "On order."}]}, {}),
    ],
)  # fmt: skip
def test_documents_are_read_in_their_common_shapes(tmp_path, document, fields):
    wanted = [{**CAKE, "fields": fields}] if fields else [CAKE]
    for indent in (None, 1):
        for name in ("f.json", "f.jsonl"):
            assert read(write(tmp_path, name, json.dumps(document, indent=indent))) == wanted


@pytest.mark.parametrize(
    "content",
    [
        "And cake?\nOn order.\n",
        "Q: And cake?\r\nA: On order.\r\n",
        "Frage 1: And cake?\n\nAntwort 1: On order.",
        "Our bakery, and more\n\n1. And cake?\n\nOn order.\n\n",
    ],
)
def test_text_without_columns_is_read_with_a_warning(tmp_path, content):
    path = write(tmp_path, "f.txt", content)
    (entry,) = read(path)
    assert entry["questions"][0].endswith("And cake?")
    assert entry["answer"] == "On order."
    found = warnings(path)
    assert found[0].startswith("faq:1: there are no columns; each line that ends with a question")
    assert len(found) == 1 + content.startswith("Our")
    assert refusal(write(tmp_path, "g.txt", "One line.\nAnother.\n")).startswith(
        "faq:1: one column and no header: 'One line.'"
    )


def test_a_file_without_a_suffix_is_read_by_its_beginning(tmp_path):
    assert read(write(tmp_path, "a", "question,answer\nAnd cake?,On order.\n")) == [CAKE]
    assert read(write(tmp_path, "b", '\n[{"q": "And cake?", "a": "On order."}]')) == [CAKE]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(
            Entry,
            TEXTS.map(lambda text: "x" + text.strip()),
            st.lists(TEXTS.map(lambda text: "q" + text), max_size=3, unique=True).map(tuple),
            TEXTS.map(lambda text: "a" + text),
            st.dictionaries(TEXTS, st.none() | st.integers() | TEXTS | st.lists(TEXTS), max_size=3),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda entry: entry.id.strip(),
    )
)
def test_the_canonical_form_reads_as_the_same_entries(tmp_path_factory, entries):
    path = tmp_path_factory.getbasetemp() / "canonical.jsonl"
    path.write_text("".join(entry.canonical() for entry in entries), "utf-8", newline="")
    read_back = read_corpus(path)
    assert read_back == [dataclasses.replace(entry, id=entry.id.strip()) for entry in entries]


def test_several_questions_of_an_entry(tmp_path):
    wanted = [{"questions": ("And cake?", "Tarts?", "Pies?"), "answer": "On order.", "id": "c"}]
    table = "id,question,question 2,answer,Alternative questions,answer note\nc,And cake?,Tarts?,On order.,Pies?,\n"
    assert read(write(tmp_path, "f.csv", table)) == wanted
    qnabot = {"qid": "c", "q": ["And cake?", "Tarts?", "Tarts?", " ", "Pies?"], "a": "On order."}
    assert read(write(tmp_path, "f.jsonl", json.dumps(qnabot))) == wanted
    both = {
        "id": "c",
        "question": "And cake?",
        "questions": ["Tarts?", "Pies?"],
        "answer": "On order.",
    }
    assert read(write(tmp_path, "f.json", json.dumps([both]))) == wanted


def test_other_columns_are_fields(tmp_path):
    path = write(
        tmp_path,
        "f.csv",
        "Frage;Antwort;Kategorie;Link;Stand\nUnd Kuchen?;Auf Bestellung.;Süßes;https://x;2024\nBrot?;Ja.;;;\n",
    )
    fields = [entry.fields for entry in read_corpus(path)]
    assert fields == [{"category": "Süßes", "url": "https://x", "Stand": "2024"}, {}]
    values = {"question": "q", "answer": "a", "stars": 4, "tags": ["x"], "none": None}
    (entry,) = read_corpus(write(tmp_path, "f.json", json.dumps(values)))
    assert entry.fields == {"stars": 4, "tags": ["x"]}


def test_a_table_without_a_header_may_have_urls(tmp_path):
    content = 'And cake?, On order., https://x\nBread?, "At six, fresh", \n'
    first, second = read(write(tmp_path, "f.csv", content))
    assert first == {**CAKE, "fields": {"url": "https://x"}}
    assert second == {"questions": ("Bread?",), "answer": "At six, fresh"}


def test_columns_are_named_by_the_user(tmp_path):
    path = write(tmp_path, "f.csv", "Was;Wie;Wo\nAnd cake?;On order.;sweets\n")
    columns = {"question": ["was"], "answer": ["Wie"], "category": ["Wo"]}
    assert read(path, columns=columns) == [{**CAKE, "fields": {"category": "sweets"}}]
    bare = write(tmp_path, "g.csv", "sweets,And cake?,On order.,Pies?\n")
    numbers = {"question": ["2", "4"], "answer": ["3"], "category": ["1"]}
    assert read(bare, columns=numbers) == [
        {
            "questions": ("And cake?", "Pies?"),
            "answer": "On order.",
            "fields": {"category": "sweets"},
        }
    ]
    keys = write(tmp_path, "f.jsonl", '{"was":"And cake?","wie":"On order."}\n')
    named = {"question": ["was"], "answer": ["wie"], "category": ["wo"]}
    assert read(keys, columns=named) == [CAKE]
    assert refusal(keys, columns={"question": ["was"], "answer": ["why"]}) == (
        "faq:1: no column 'why', which --map names; there are 'was', 'wie'"
    )
    assert refusal(path, columns={"answer": ["Antwort"]}) == (
        "faq:1: no column 'Antwort', which --map names; there are 'Was', 'Wie', 'Wo'"
    )


def test_texts_are_kept_as_they_are(tmp_path):
    answer = " <p>Mon:\r\n\tTue\u00a0&amp; **Wed** 👩\u200d👧 e\u0301</p> \n"
    path = write(tmp_path, "f.csv", f'question,answer\n  When? ,"{answer}"\n5" wide?,Yes\n')
    assert read(path) == [
        {"questions": ("  When? ",), "answer": answer},
        {"questions": ('5" wide?',), "answer": "Yes"},
    ]
    escaped = write(
        tmp_path, "g.csv", r"question,answer" + "\n" + r'"A \"b\"?","C:\new, \"d\""' + "\n"
    )
    assert read(escaped) == [{"questions": ('A "b"?',), "answer": r'C:\new, "d"'}]
    path = write(tmp_path, "f.yaml", "- question: On?\n  answer: Yes\n  since: 2020-01-01\n")
    assert read(path) == [
        {"questions": ("On?",), "answer": "Yes", "fields": {"since": "2020-01-01"}}
    ]


def workbook(path: Path, sheets: dict[str, list[list[Any]]], hidden: str = "") -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        if name == hidden:
            sheet.sheet_state = "hidden"
    book.save(path)
    return path


def test_a_column_whose_name_begins_with_a_number_sign_is_for_people(tmp_path: Path) -> None:
    table = "#,# Note,question,answer,#Category,url\n1,To do,And cake?,On order.,Sweets,https://x\n"
    path = write(tmp_path, "faq.csv", table)
    assert read(path) == [{**CAKE, "fields": {"url": "https://x"}}]
    assert describe(path).notes == ("2 columns whose name begins with # skipped",)


def test_a_workbook_is_read(tmp_path):
    rows = [
        ["Question", "Answer", "Category", None],
        ["Do you bake bread?", "Each morning, at six.", "daily"],
        [],
        ["And cake?", "On order."],
        ["How many?", 42],
        ["Since when?", datetime.datetime(2020, 1, 2)],
        ["Still?", True],
        ["", " "],
    ]
    path = workbook(tmp_path / "f.xlsx", {"FAQ": rows})
    entries = read(path)
    assert entries[:2] == [{**BREAD, "fields": {"category": "daily"}}, CAKE]
    assert [entry["answer"] for entry in entries[2:]] == ["42", "2020-01-02", "TRUE"]
    assert describe(path).notes == ("2 empty rows skipped",)


def test_sheets_with_answers_are_read_and_others_named(tmp_path):
    sheets = {
        "Cover": [["The bakery"]],
        "Bread": [["All about bread"], ["Frage", "Antwort"], ["Brot?", "Ja."]],
        "Cake": [["Answer", "Question"], ["On order.", "And cake?"]],
        "Old": [["Question", "Answer"], ["x", "y"]],
    }
    path = workbook(tmp_path / "f.xlsx", sheets, hidden="Old")
    assert [entry["answer"] for entry in read(path)] == ["Ja.", "On order."]
    assert warnings(path) == (
        "faq: the sheet 'Cover' is not read",
        "faq: the sheet 'Old' is not read",
        "faq:Bread!1: 'All about bread' stands above the header and is skipped",
    )


@pytest.mark.parametrize(
    ("encoding", "text", "likely"),
    [
        ("cp1252", "What’s a café?,It’s “open”.", "cp1252 reads 'What’s a café?,It’s “open”.'"),
        ("cp1251", "Когда открыто?,С девяти.", "cp1251 reads 'Когда открыто?,С девяти.'"),
        ("cp932", "いつですか?,今です。", "cp932 reads 'いつですか?,今です。'"),
        ("gb18030", "什么时候?,现在。", "gb18030 reads '什么时候?,现在。'"),
        ("mac-roman", "What’s a café?,Über it.", "mac-roman reads 'What’s a café?,Über it.'"),
    ],
)  # fmt: skip
def test_another_encoding_is_never_guessed(tmp_path, encoding, text, likely):
    path = write(tmp_path, "f.csv", ("question,answer\n" + text).encode(encoding))
    message = refusal(path)
    assert message.startswith("faq:2: not UTF-8: byte 0x")
    assert "name its encoding with --encoding: " + likely in message
    assert read(path, encoding=encoding)[0]["answer"] == text.partition(",")[2]


@pytest.mark.parametrize(
    ("name", "content", "given", "expected"),
    [
        ("f.csv", "Ä?,ö.\n".encode() + "Café?,Schön.\n".encode("cp1252"), {}, "faq:2: not UTF-8: byte 0xe9 at byte offset 11. Other rows are UTF-8, so this row was damaged: cp1252 reads 'Café?,Schön.'"),
        ("f.csv", "a,b", {"encoding": "klingon"}, "faq: unknown encoding 'klingon'; known are utf-8,"),
        ("f.csv", "How?,So\né,x", {"encoding": "ascii"}, "faq:2: not ascii: byte 0xc3 at byte offset 8"),
        ("f.csv", b"PK\x03\x04rest", {}, "faq: this is an Excel workbook or another zip file;"),
        ("f.csv", b"\xd0\xcf\x11\xe0rest", {}, "faq: this is an old Excel workbook (.xls);"),
        ("f.csv", "\n<!DOCTYPE html>", {}, "faq: this is a web page; download the file itself"),
        ("f.csv", '[{"question": "How?"}]', {}, "faq:1: this is JSON and no table; name the file .json"),
        ("f.json", "question,answer\nHow?,So", {}, "faq:1: not JSON: 'question,answer'; if this is a table"),
        ("f.json", '[{"question":"How?","answer":"So"},]', {}, "faq:1: not JSON (Expecting value at character 36); there is a comma too many"),
        ("f.json", '[\n{"question":"How?",\n"answer":', {}, "faq:3: not JSON (Expecting value at character 10); the file ends too early"),
        ("f.json", "{'question':'How?'}", {}, "faq:1: not JSON (Expecting property name enclosed in double quotes at character 2); JSON has double quotes"),
        ("f.jsonl", '{"answer":"So","answer":"No"}', {}, "faq:1: the key 'answer' twice in one object, 'So' and 'No'; keep one"),
        ("f.yaml", "- question: How?\n  answer: So\n  answer: No\n", {}, "faq:3: the key 'answer' twice, 'So' and 'No'; keep one"),
        ("f.yaml", "- question: How: so?\n", {}, "faq:1: not YAML: mapping values are not allowed here;"),
        ("f.json", '[{"question":"How?","answer":"So"},7]', {}, "faq:[1]: a JSON number among the entries;"),
        ("f.json", '[{"question":"How?","anwser":"So"}]', {}, "faq:[0]: no answer among the keys 'question', 'anwser'; if one"),
        ("f.json", '{"users":[{"login":"x"}]}', {}, "faq:1: no question or answer in the object with the keys 'users'; wanted"),
        ("f.csv", "question\nHow?\nWhy?\n", {}, "faq:1: no column of answers; the header names question."),
        ("f.csv", 'question,answer\nWho?,"Me.\nHow?,So.\nWhy?,Because.\n', {}, "faq:2: unbalanced quote: a quote opened here is still open in line 4;"),
        ("f.csv", 'question,answer\n"Is "it" so?",Yes.\n', {}, "faq:2: unbalanced quote in line 2:"),
        ("f.csv", "question,answer\n“How?”,“So, and so.”\n", {}, "faq:2: typographic quotes around a text that contains the separator: '“How?”' | '“So' | ' and so.”';"),
        ("f.csv", "question,answer\nHow?,So, and so.\n", {}, "faq:2: 3 columns: 'How?' | 'So' | ' and so.'; the header names 2: question, answer. A text that contains the separator"),
        ("f.csv", "question,answer\n" + "How?,So.\n" * 900 + 'Why?, "So, and so."\n', {}, "faq:902: a space before a quote: 'Why?' | ' \"So' | ' and so.\"';"),
        ("f.xlsx", "question,answer\n", {}, "faq: not an Excel workbook: save it as .xlsx and without a password,"),
        ("f.xls", b"\xd0\xcf\x11\xe0", {}, "faq: unknown suffix '.xls'; save it as .xlsx"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence_with_a_place(tmp_path, name, content, given, expected):
    message = refusal(write(tmp_path, name, content), **given)
    assert message.startswith(expected), message


@pytest.mark.parametrize(
    ("content", "entries", "expected"),
    [
        ("Hirg,Zorp\nHow?,So.\nWhy?,Because.\n", 3, "faq:1: 'Hirg' | 'Zorp' looks like a header and is read as an entry;"),
        ("Text,A piece of writing.\nFont,The shape of letters.\n", 2, ""),
        ("ID,A paper that shows who you are.\nVisa,A permit.\n", 2, ""),
        ("Well, that is it\nNo, never again\n", 2, "faq:1: ',' seems to split a sentence: 'Well' | 'that is it'"),
        ("How?;So, say.\nWhy?;Oh, well.\n", 2, ""),
        ("question,answer\nHow?,\u200b\nWhy?,Because.\n", 1, "faq:2: no answer to 'How?'; it is left out"),
        ("question,answer,query\nHow?,So.,x\n", 1, "faq:1: 'query' is kept as a field and could be meant as the question"),
        ("question,answer,\nHow?,So.,x\n", 1, "faq: column 3 has no name and is not kept"),
        ("“How?”,“So.”\n“Why?”,“Because.”\n", 2, "faq:1: the quotes around '“How?”' | '“So.”' are kept as text;"),
        ("qestion,answer\nHow?,So.\n", 1, "faq:1: 'qestion' is kept as a field and could be meant"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_read_with_a_warning(tmp_path, content, entries, expected):
    path = write(tmp_path, "f.csv", content)
    assert len(read(path)) == entries
    found = warnings(path)
    assert found[0].startswith(expected) if expected else found == (), found


def test_answers_of_a_list_are_joined(tmp_path):
    path = write(
        tmp_path,
        "f.jsonl",
        '{"question":"How?","answer":["So.","Or so."]}\n{"question":"n?","answer":42}',
    )
    assert [entry["answer"] for entry in read(path)] == ["So.\nOr so.", "42"]
    assert warnings(path) == ("faq:1: 2 answers are joined by line feeds: 'So.', 'Or so.'",)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    import sys

    for name, module, package in (("f.yaml", "yaml", "pyyaml"), ("f.xlsx", "openpyxl", "openpyxl")):
        monkeypatch.setitem(sys.modules, module, None)
        assert refusal(write(tmp_path, name, "x")).endswith(f": pip install {package}")


def test_an_unwieldy_workbook_is_read_as_it_is(tmp_path):
    path = workbook(tmp_path / "f.xlsx", {"S": [["How?", "So."], ["Why?", "Because."]]})
    book = openpyxl.load_workbook(path)
    book.active["A5000"] = " "
    stream = io.BytesIO()
    book.save(stream)
    assert len(read(write(tmp_path, "g.xlsx", stream.getvalue()))) == 2
