"""The class table: what a spreadsheet makes of it is read, what makes no sense is refused with its line."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoalps.errors import OptionError, ProductError
from geoalps.io.class_table import ClassEntry, check_entries, read_class_table, write_class_table

KNOWN = tuple(ClassEntry(i, f"class {i}", colour) for i, colour in enumerate(["#112233", "#445566", "#778899"]))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=200).filter(
    lambda name: name == " ".join(name.split())
)


@given(st.lists(st.tuples(NAMES, st.integers(0, 0xFFFFFF), st.booleans()), min_size=1, max_size=8))
def test_what_is_written_is_read(tmp_path_factory, rows):
    last = len(rows) - 1
    entries = tuple(
        ClassEntry(i, name, f"#{colour:06x}", last if merged and i < last else None)
        for i, (name, colour, merged) in enumerate(rows)
    )
    path = tmp_path_factory.mktemp("table") / "classes.csv"
    write_class_table(path, entries)
    assert read_class_table(path) == entries
    assert read_class_table(path, [ClassEntry(i, "x", "#000000", 0) for i in range(len(rows))]) == entries


@pytest.mark.parametrize("text", [
    "class_id;name;colour;merge_into\n1;Wiese, naß;#abcdef;2\n",
    "class_id\tclass_name\tcolor\tmerge_into\n1\tWiese, naß\tabcdef\t2.0\n\t\t\t\n",
    '\ufeffClass_ID,Name,Colour,Merge_into\r\n1.0,"Wiese, naß",#abcdef,2\r\n',
    'merge_into,note,colour,class_id,name\n2,wet,#abcdef,1,"Wiese, naß"\n',
])  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_spreadsheets_write_it_in_their_own_ways(tmp_path, text, encoding):
    if encoding == "cp1252" and text.startswith("\ufeff"):
        pytest.skip("that mark is of UTF-8")
    path = tmp_path / "names.csv"
    path.write_bytes(text.encode(encoding))
    first, changed, last = read_class_table(path, KNOWN)
    assert (first, last) == (KNOWN[0], KNOWN[2])
    assert changed == ClassEntry(1, "Wiese, naß", "#abcdef", 2)


def test_what_a_table_does_not_say_stays_but_an_empty_merge_takes_it_back(tmp_path):
    merged = (KNOWN[0], ClassEntry(1, "one", "#445566", 0), ClassEntry(2, "two", "#778899", 0))
    path = tmp_path / "names.csv"
    path.write_text("class_id,name\n1,uno\n")
    assert read_class_table(path, merged)[1:] == (ClassEntry(1, "uno", "#445566", 0), merged[2])
    path.write_text("class_id,merge_into\n1,\n")
    assert read_class_table(path, merged)[1:] == (ClassEntry(1, "one", "#445566"), merged[2])


def test_the_table_of_a_geopackage_is_read(tmp_path):
    path = tmp_path / "labels.gpkg"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE classes (fid, class_id, class_name, colour, object_count, area_m2, merge_into)")
        database.execute(
            "INSERT INTO classes VALUES (1, 2, 'wood', '#00ff00', 7, 1.5, NULL), (2, 0, 'x', '#000000', 1, 1, 2)"
        )
    database.close()
    assert read_class_table(path, KNOWN) == (
        ClassEntry(0, "x", "#000000", 2),
        KNOWN[1],
        ClassEntry(2, "wood", "#00ff00"),
    )


def test_a_line_that_names_the_separator_and_wide_letters_are_read(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("sep=;\nclass_id;name\n1;a,b  c\n", encoding="utf-16")
    assert read_class_table(path, KNOWN)[1].class_name == "a,b c"


def test_what_was_merged_before_goes_on_with_its_class(tmp_path):
    known = (KNOWN[0], ClassEntry(1, "one", "#445566", 0), KNOWN[2])
    path = tmp_path / "names.csv"
    path.write_text("class_id,merge_into\n0,2\n2,\n")
    found = read_class_table(path, known)
    assert [entry.merge_into for entry in found] == [2, 2, None]
    check_entries(found)


@pytest.mark.parametrize(("text", "said"), [
    ("name,colour\nwater,#000000\n", "has no column class_id"),
    ("class_id,name\n7,water\n", "line 2 .*: there is no class 7, only 0 to 2"),
    ("class_id,name\nx,water\n", "line 2 .*: class_id is 'x'; want a whole number"),
    ("class_id,name\n1.5,water\n", "class_id is '1.5'"),
    ("class_id,name\n-1,water\n", "class_id is '-1'"),
    ("class_id,name\nnan,water\n", "class_id is 'nan'"),
    ("class_id,colour\n1,red\n", "line 2 .*: class 1 has colour 'red'; want #rrggbb"),
    ("class_id,merge_into\n0,\n1,two\n", "line 3 .*: merge_into is 'two'"),
    ("", "has no column class_id"),
])  # fmt: skip
def test_a_bad_cell_is_named(tmp_path, text, said):
    path = tmp_path / "names.csv"
    path.write_text(text)
    with pytest.raises(OptionError, match=said):
        read_class_table(path, KNOWN)


def test_a_file_that_is_none_is_told(tmp_path):
    with pytest.raises(ProductError, match="cannot be read"):
        read_class_table(tmp_path / "none.csv")
    (tmp_path / "book.csv").write_bytes(bytes(range(256)) * 9)
    with pytest.raises(ProductError, match="is no text; save the table as CSV"):
        read_class_table(tmp_path / "book.csv")
    with pytest.raises(ProductError, match="no table classes"):
        read_class_table(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("no database at all, only some text that is long enough to be looked at")
    with pytest.raises(ProductError, match="no table classes"):
        read_class_table(tmp_path / "text.gpkg")


def entry(class_id, name="", into=None):
    return ClassEntry(class_id, name or f"class {class_id}", "#000000", into)


@pytest.mark.parametrize(("entries", "said"), [
    ([entry(0), entry(2)], "has the classes 0, 2; one row is wanted for each of 0 to 2"),
    ([entry(0), entry(1), entry(1)], "class 1 has two rows"),
    ([entry(0), entry(1)], "one row is wanted for each of 0 to 2"),
    ([entry(0, "a"), entry(1, "a"), entry(2)], "classes 0, 1 are all named 'a'; .* merge_into 0"),
    ([entry(0, "  "), entry(1), entry(2)], "class 0 has no name"),
    ([entry(0, "a\0b"), entry(1), entry(2)], "class 0 has a name of 3 characters, or with some that do not print"),
    ([entry(0, "a" * 201), entry(1), entry(2)], "class 0 has a name of 201 characters"),
    ([entry(0), entry(1, into=1), entry(2)], "class 1 is to be merged into itself"),
    ([entry(0), entry(1, into=3), entry(2)], "merged into 3; there are classes 0 to 2"),
    ([entry(0), entry(1, into=2), entry(2, into=0)], "class 1 is to be merged into 2, which is merged into 0"),
])  # fmt: skip
def test_a_table_that_makes_no_sense_is_refused(entries, said):
    with pytest.raises(OptionError, match=said):
        check_entries(entries, 3)


def test_a_merged_class_may_have_the_name_of_the_other():
    check_entries([entry(0, "water"), entry(1, "water", 0)])
