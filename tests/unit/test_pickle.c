// SPDX-License-Identifier: Apache-2.0
//
// The pickle machine, opcode by opcode: what it makes of good ones, and that it refuses the rest.
// Pickles are written by hand, from CPython's Lib/pickletools.py.
#include "weights/pickle.h"

#include "tests/check.h"

// The imports of these tests.
static enum pickle_import find(struct span module, struct span name, uint32_t *number) {
    static const struct {
        const char *name;
        enum pickle_import import;
    } names[] = {{"Name", PICKLE_NAME}, {"call", PICKLE_FUNCTION}, {"Dict", PICKLE_MAPPING}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (!span_equal(module, "m") || !span_equal(name, names[i].name)) continue;
        *number = (uint32_t)i;
        return names[i].import;
    }
    return PICKLE_REFUSED;
}

// Reads a copy of its own size, so that a sanitizer sees a read past its end. The copy lives on.
static char *copy_of;
static enum status read_bytes(const char *bytes, size_t n, struct pickle *pickle,
                              struct error *error) {
    free(copy_of);
    copy_of = malloc(n > 0 ? n : 1);
    if (n > 0) memcpy(copy_of, bytes, n);
    error->text[0] = '\0';
    return pickle_read((struct span){copy_of, n}, find, "x.bin", pickle, error);
}

// The text of a value, as Python would print it, near enough.
struct printed {
    char text[400];
    size_t len;
};

static void add(struct printed *out, const char *text, size_t n) {
    for (size_t i = 0; i < n && out->len + 1 < sizeof out->text; i++) {
        out->text[out->len++] = text[i];
    }
}

static void print(const struct pickle *pickle, pickle_ref ref, struct printed *out) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    char number[32];
    static const char *const open[] = {
        [PICKLE_TUPLE] = "(", [PICKLE_LIST] = "[", [PICKLE_DICT] = "{"};
    switch (node->kind) {
        case PICKLE_NONE:
            add(out, "None", 4);
            return;
        case PICKLE_BOOL:
            add(out, node->as.integer != 0 ? "True" : "False", node->as.integer != 0 ? 4 : 5);
            return;
        case PICKLE_FLOAT:
            add(out, "float", 5);
            return;
        case PICKLE_INT:
            snprintf(number, sizeof number, "%lld", (long long)node->as.integer);
            add(out, number, strlen(number));
            return;
        case PICKLE_LONG:
            snprintf(number, sizeof number, "long%zu", node->as.text.len);
            add(out, number, strlen(number));
            return;
        case PICKLE_TEXT:
            add(out, "'", 1);
            add(out, node->as.text.ptr, node->as.text.len);
            add(out, "'", 1);
            return;
        case PICKLE_GLOBAL:
            snprintf(number, sizeof number, "global%u", node->as.global.number);
            add(out, number, strlen(number));
            return;
        case PICKLE_CALL:
            print(pickle, node->as.call.callee, out);
            print(pickle, node->as.call.args, out);
            return;
        case PICKLE_PERSISTENT:
            add(out, "@", 1);
            print(pickle, node->as.id, out);
            return;
        default:
            break;
    }
    add(out, open[node->kind], 1);
    size_t n = 0;
    for (struct pickle_walk walk = pickle_walk(pickle, ref); pickle_next(&walk); n++) {
        if (n > 0) add(out, node->kind == PICKLE_DICT && n % 2 == 1 ? ":" : ",", 1);
        print(pickle, walk.item, out);
    }
    CHECK_INT(n, node->n_items);
    add(out, node->kind == PICKLE_TUPLE ? ")" : node->kind == PICKLE_LIST ? "]" : "}", 1);
}

#define BYTES(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t n;
    const char *value;
} good_pickles[] = {
    {BYTES("N."), "None"},
    {BYTES("\x80\x02\x88."), "True"},
    {BYTES("\x89."), "False"},
    {BYTES("I01\n."), "True"},
    {BYTES("I00\n."), "False"},
    {BYTES("I1\n."), "1"},
    {BYTES("I-12345678901\n."), "-12345678901"},
    {BYTES("L12L\n."), "12"},
    {BYTES("L119547037146038801333356L\n."), "long24"},
    {BYTES("L9223372036854775807L\n."), "long19"},
    {BYTES("K\xff."), "255"},
    {BYTES("M\x01\x02."), "513"},
    {BYTES("J\xff\xff\xff\xff."), "-1"},
    {BYTES("J\xff\xff\xff\x7f."), "2147483647"},
    {BYTES("\x8a\x00."), "0"},
    {BYTES("\x8a\x01\xff."), "-1"},
    {BYTES("\x8a\x02\xff\x00."), "255"},
    {BYTES("\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80."), "-9223372036854775808"},
    {BYTES("\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00."), "long9"},
    {BYTES("\x8b\x01\x00\x00\x00\x05."), "5"},
    {BYTES("G\x40\x04\x00\x00\x00\x00\x00\x00."), "float"},
    {BYTES("U\x02hi."), "'hi'"},
    {BYTES("T\x02\x00\x00\x00hi."), "'hi'"},
    {BYTES("X\x02\x00\x00\x00hi."), "'hi'"},
    {BYTES("\x8c\x02hi."), "'hi'"},
    {BYTES("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi."), "'hi'"},
    {BYTES("C\x02hi."), "'hi'"},
    {BYTES("B\x02\x00\x00\x00hi."), "'hi'"},
    {BYTES("\x8e\x02\x00\x00\x00\x00\x00\x00\x00hi."), "'hi'"},
    {BYTES("U\x00."), "''"},
    {BYTES(")."), "()"},
    {BYTES("]."), "[]"},
    {BYTES("}."), "{}"},
    {BYTES("(t."), "()"},
    {BYTES("(l."), "[]"},
    {BYTES("(d."), "{}"},
    {BYTES("(K\1K\2K\3K\4t."), "(1,2,3,4)"},
    {BYTES("(K\1K\2l."), "[1,2]"},
    {BYTES("(K\1K\2d."), "{1:2}"},
    {BYTES("K\1\x85."), "(1)"},
    {BYTES("K\1K\2\x86."), "(1,2)"},
    {BYTES("K\1K\2K\3\x87."), "(1,2,3)"},
    {BYTES("]K\1a."), "[1]"},
    {BYTES("](K\1K\2e(e(K\3e."), "[1,2,3]"},
    {BYTES("}K\1K\2s(K\3K\4u."), "{1:2,3:4}"},
    {BYTES("K\1K\2"
           "0."),
     "1"},
    {BYTES("K\1(K\2"
           "1."),
     "1"},
    {BYTES("K\1(K\2"
           "00."),
     "1"},
    {BYTES("K\1"
           "2\x86."),
     "(1,1)"},
    {BYTES("K\1q\0K\2q\1\x86h\1h\0\x87."), "((1,2),2,1)"},
    {BYTES("K\1q\0"
           "0K\2r\1\0\0\0"
           "0j\1\0\0\0h\0\x86."),
     "(2,1)"},
    {BYTES("K\1\x94"
           "0K\2\x94"
           "0h\1h\0\x86."),
     "(2,1)"},
    {BYTES("K\1\x94"
           "0K\2q\0"
           "0K\3\x94"
           "0h\0h\1\x86."),
     "(2,3)"},
    {BYTES("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), "None"},
    {BYTES("cm\nName\n."), "global0"},
    {BYTES("\x8c\1m\x8c\4Name\x93."), "global0"},
    {BYTES("cm\ncall\nK\1\x85R."), "global1(1)"},
    {BYTES("cm\ncall\n)\x81."), "global1()"},
    {BYTES("cm\ncall\n)R}b."), "global1()"},
    {BYTES("cm\nDict\n)R."), "{}"},
    {BYTES("cm\nDict\n)R(K\1K\2u}K\3K\4sb."), "{1:2}"},
    {BYTES("cm\nDict\n](](K\1K\2e](K\3K\4ee\x85R."), "{1:2,3:4}"},
    {BYTES("cm\nDict\n]K\1K\2\x86"
           "a\x85R."),
     "{1:2}"},
    {BYTES("K\1Q."), "@1"},
    {BYTES("]q\0K\1ah\0\x86."), "([1],[1])"},
};

static void good(void) {
    for (size_t i = 0; i < ARRAY_LEN(good_pickles); i++) {
        struct pickle pickle;
        struct error error;
        struct printed out = {0};
        enum status status = read_bytes(good_pickles[i].bytes, good_pickles[i].n, &pickle, &error);
        CHECK_STR(error.text, "");
        if (status != STATUS_OK) continue;
        CHECK_INT(pickle.nbytes, good_pickles[i].n);
        print(&pickle, pickle.root, &out);
        CHECK_STR(out.text, good_pickles[i].value);
        pickle_free(&pickle);
        // No front of it is a pickle.
        for (size_t n = 0; n < good_pickles[i].n; n++) {
            CHECK_INT(read_bytes(good_pickles[i].bytes, n, &pickle, &error), STATUS_MODEL);
            CHECK_CONTAINS(error.text, "x.bin: byte ");
        }
    }
}

static const struct {
    const char *bytes;
    size_t n;
    const char *message;
} bad_pickles[] = {
    {BYTES(""), "ends in the middle"},
    {BYTES("\xff"), "no opcode"},
    {BYTES("\x80\x06N."), "protocol later than 5"},
    {BYTES("."), "missing on the stack"},
    {BYTES("(."), "missing on the stack"},
    {BYTES("0"), "missing on the stack"},
    {BYTES("2"), "missing on the stack"},
    {BYTES("t"), "a mark is missing"},
    {BYTES("K\1u"), "a mark is missing"},
    {BYTES("(K\1u"), "missing on the stack"},
    {BYTES("K\1(K\1\x86"), "missing on the stack"},
    {BYTES("NN."), "left on the stack"},
    {BYTES("(N."), "left on the stack"},
    {BYTES("(K\1d"), "no value"},
    {BYTES("}(K\1u"), "no value"},
    {BYTES("]K\1K\2s"), "no dict"},
    {BYTES("}K\1"
           "a"),
     "no list"},
    {BYTES(")K\1"
           "a"),
     "no list"},
    {BYTES("In\n"), "other digits"},
    {BYTES("I\n"), "no digits"},
    {BYTES("LL\n"), "no digits"},
    {BYTES("I 1 \n"), "other digits"},
    {BYTES("h\0"), "the memo does not hold"},
    {BYTES("Nq\0j\xff\xff\xff\xff"), "the memo does not hold"},
    {BYTES("Nq\xff"), "index into the memo is too large"},
    {BYTES("Nr\xff\xff\xff\xff"), "index into the memo is too large"},
    {BYTES("Nr\xff\xff\xff\x7f"), "index into the memo is too large"},
    {BYTES("q\0"), "missing on the stack"},
    {BYTES("(q\0"), "missing on the stack"},
    {BYTES("\x8b\xff\xff\xff\x7f\0"), "ends in the middle"},
    {BYTES("X\xff\xff\xff\xffhi"), "ends in the middle"},
    {BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi"), "ends in the middle"},
    {BYTES("\x8e\xff\xff\xff\xff\xff\xff\xff\x7fhi"), "ends in the middle"},
    {BYTES("cm"), "ends in the middle"},
    {BYTES("cm\nName"), "ends in the middle"},
    {BYTES("K\1K\2\x93"), "imported is no name"},
    {BYTES("cm\nName\n)R"), "call of what is no function"},
    {BYTES("K\1)R"), "call of what is no function"},
    {BYTES("cm\ncall\n]R"), "call of what is no function"},
    {BYTES("cm\ncall\n)R)R"), "call of what is no function"},
    {BYTES("cm\nDict\nK\1K\2\x86R"), "no list of pairs"},
    {BYTES("cm\nDict\nK\1\x85R"), "no list of pairs"},
    {BYTES("cm\nDict\n]K\1a\x85R"), "no list of pairs"},
    {BYTES("cm\nDict\n]K\1\x85"
           "a\x85R"),
     "no list of pairs"},
    {BYTES("cm\nDict\n](K\1K\2d"
           "a\x85R"),
     "no list of pairs"},
    {BYTES("K\1Nb"), "state is set of what is no object"},
    {BYTES("]Nb"), "state is set of what is no object"},
    {BYTES("cos\nsystem\n"), "\"os.system\""},
    {BYTES("\x8c\2os\x8c\6system\x93"), "\"os.system\""},
    {BYTES("c__builtin__\neval\n"), "\"__builtin__.eval\""},
    {BYTES("cm\nname\n"), "\"m.name\""},
    {BYTES("cM\nName\n"), "\"M.Name\""},
    {BYTES("cm\nName.__init__\n"), "\"m.Name.__init__\""},
    {BYTES("c\x1b[31m\n\xff\n"), "\"?[31m.?\""},
    {BYTES("F1.5\n"), "the opcode FLOAT"},
    {BYTES("S'a'\n"), "the opcode STRING"},
    {BYTES("Va\n"), "the opcode UNICODE"},
    {BYTES("P1\n"), "the opcode PERSID"},
    {BYTES("Np0\n"), "the opcode PUT"},
    {BYTES("g0\n"), "the opcode GET"},
    {BYTES("(ios\nsystem\n"), "the opcode INST"},
    {BYTES("(o"), "the opcode OBJ"},
    {BYTES("\x82\1"), "the opcode EXT1"},
    {BYTES("\x83\1\0"), "the opcode EXT2"},
    {BYTES("\x84\1\0\0\0"), "the opcode EXT4"},
    {BYTES("\x8f"), "the opcode EMPTY_SET"},
    {BYTES("\x90"), "the opcode ADDITEMS"},
    {BYTES("(\x91"), "the opcode FROZENSET"},
    {BYTES("\x92"), "the opcode NEWOBJ_EX"},
    {BYTES("\x96\0\0\0\0\0\0\0\0"), "the opcode BYTEARRAY8"},
    {BYTES("\x97"), "the opcode NEXT_BUFFER"},
    {BYTES("\x98"), "the opcode READONLY_BUFFER"},
};

static void bad(void) {
    for (size_t i = 0; i < ARRAY_LEN(bad_pickles); i++) {
        struct pickle pickle;
        struct error error;
        CHECK_INT(read_bytes(bad_pickles[i].bytes, bad_pickles[i].n, &pickle, &error),
                  STATUS_MODEL);
        CHECK_CONTAINS(error.text, bad_pickles[i].message);
        CHECK(strncmp(error.text, "x.bin: ", 7) == 0 && pickle.nodes == NULL);
    }
}

int main(void) {
    good();
    bad();
    free(copy_of);
    return check_result();
}
