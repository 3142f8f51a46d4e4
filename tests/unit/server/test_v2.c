/* The Open Inference Protocol's bodies, taken apart: cutting the data out, reading numbers and texts, in JSON and
 * binary. */
#include "server/v2/numbers.h"
#include "server/v2/tensor.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- cutting ---- */

static struct response response;

static void clear(void)
{
    response_clear(&response);
    memset(&response, 0, sizeof response);
}

/* The text without its data, for the caller to free; NULL where it was refused. */
static char *cut(const char *text, struct cuts *cuts)
{
    struct bytes rest = {0};
    char *left = NULL;

    clear();
    if (cuts_make(cuts, text, strlen(text), &rest, &response))
        left = strndup(rest.data ? (const char *)rest.data : "", rest.size);
    bytes_free(&rest);
    return left;
}

START_TEST(test_data_is_cut_out)
{
    static const struct {
        const char *text, *left, *data; /* the first cut; NULL for none */
        size_t elements;
    } rows[] = {
        {"{\"inputs\":[{\"data\":[1,2,3],\"a\":1}]}", "{\"inputs\":[{\"data\":0,\"a\":1}]}", "[1,2,3]", 3},
        {" { \"inputs\" : [ { \"data\" : [ [1,2] , [3,4] ] } ] } ", " { \"inputs\" : [ { \"data\" : 0 } ] } ",
         "[ [1,2] , [3,4] ]", 4},
        {"{\"inputs\":[{\"data\":[\"]\\\"[,\"]}]}", "{\"inputs\":[{\"data\":0}]}", "[\"]\\\"[,\"]", 1},
        {"{\"inputs\":[{\"data\":[ ]}]}", "{\"inputs\":[{\"data\":0}]}", "[ ]", 0},
        /* null is no data. */
        {"{\"inputs\":[{\"data\": null,\"a\":1}]}", "{\"inputs\":[{\"data\": null,\"a\":1}]}", NULL, 0},
        {"{\"inputs\":[{\"data\":null", "{\"inputs\":[{\"data\":null", NULL, 0},
        {"{\"id\":\"inputs\",\"inputs\":[{\"name\":\"data\",\"data\":[7]}]}",
         "{\"id\":\"inputs\",\"inputs\":[{\"name\":\"data\",\"data\":0}]}", "[7]", 1},
        /* The same words at other places. */
        {"{\"outputs\":[{\"data\":[1]}]}", "{\"outputs\":[{\"data\":[1]}]}", NULL, 0},
        {"{\"inputs\":[{\"parameters\":{\"data\":[1]}}]}", "{\"inputs\":[{\"parameters\":{\"data\":[1]}}]}", NULL, 0},
        {"{\"a\":{\"inputs\":[{\"data\":[1]}]}}", "{\"a\":{\"inputs\":[{\"data\":[1]}]}}", NULL, 0},
        {"[{\"inputs\":[{\"data\":[1]}]}]", "[{\"inputs\":[{\"data\":[1]}]}]", NULL, 0},
        {"{\"inputs\":{\"a\":{\"data\":[1]}}}", "{\"inputs\":{\"a\":{\"data\":[1]}}}", NULL, 0},
        /* What is malformed stays so. */
        {"{\"inputs\":[{\"data\":[1,2", "{\"inputs\":[{\"data\":0", "[1,2", 2},
        {"{\"inputs\":[{\"data\":[\"", "{\"inputs\":[{\"data\":0", "[\"", 1},
        {"}}}]]]{\"", "}}}]]]{\"", NULL, 0},
        {"", "", NULL, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cuts cuts;
        char *left = cut(rows[i].text, &cuts);
        ck_assert_ptr_nonnull(left);
        ck_assert_str_eq(left, rows[i].left);
        ck_assert_uint_eq(cuts.count, rows[i].data ? 1 : 0);
        if (rows[i].data) {
            ck_assert_uint_eq(cuts.list[0].size, strlen(rows[i].data));
            ck_assert_mem_eq(cuts.list[0].text, rows[i].data, cuts.list[0].size);
            ck_assert_uint_eq(cuts.list[0].elements, rows[i].elements);
        }
        free(left);
    }
}
END_TEST

START_TEST(test_several_inputs)
{
    struct cuts cuts;
    char *left = cut("{\"inputs\":[{\"data\":[1]},{\"x\":2,\"data\":[3,4]},{}],\"id\":\"a\"}", &cuts);

    ck_assert_str_eq(left, "{\"inputs\":[{\"data\":0},{\"x\":2,\"data\":1},{}],\"id\":\"a\"}");
    ck_assert_uint_eq(cuts.count, 2);
    ck_assert_mem_eq(cuts.list[1].text, "[3,4]", 5);
    free(left);
}
END_TEST

START_TEST(test_what_cannot_be_cut_is_refused)
{
    static const char *const uncut[] = {"{\"inputs\":[{\"data\":0}]}",        "{\"inputs\":[{\"data\":\"x\"}]}",
                                        "{\"inputs\":[{\"data\":{}}]}",       "{\"inputs\":[{\"data\":",
                                        "{\"inputs\":[{\"data\":nul",         "{\"inputs\":[{\"d\\u0061ta\":[1]}]}",
                                        "{\"in\\u0070uts\":[{\"data\":[1]}]}"};
    struct cuts cuts;

    for (size_t i = 0; i < sizeof uncut / sizeof *uncut; i++) {
        ck_assert_ptr_null(cut(uncut[i], &cuts));
        ck_assert_uint_eq(response.status, 422);
    }
    ck_assert_ptr_null(cut("{\"inputs\":[{\"data\":[]},{\"data\":[]},{\"data\":[]},{\"data\":[]},{\"data\":[]},"
                           "{\"data\":[]},{\"data\":[]},{\"data\":[]},{\"data\":[]}]}",
                           &cuts));
    ck_assert_uint_eq(response.status, 422);
}
END_TEST

/* The data counts for nothing, however much it is; the rest is bounded. */
START_TEST(test_the_rest_is_bounded)
{
    size_t size = V2_HEADER_MAX + 64;
    char *text = malloc(size + 1);
    struct cuts cuts;

    memset(text, ' ', size);
    text[size] = 0;
    memcpy(text, "{\"inputs\":[{\"data\":[", 20);
    strcpy(text + size - 4, "]}]}");
    char *left = cut(text, &cuts);
    ck_assert_str_eq(left, "{\"inputs\":[{\"data\":0}]}");
    free(left);
    memcpy(text, "{\"output\":[{\"data\":[", 20);
    ck_assert_ptr_null(cut(text, &cuts));
    ck_assert_uint_eq(response.status, 413);
    free(text);
    clear();
}
END_TEST

/* ---- numbers ---- */

static const size_t shape[] = {2, 1, 3};

/* Reads six numbers: 1 to 6 where all is well. */
static enum numbers_result read_six(const char *text)
{
    struct numbers numbers;

    numbers_open(&numbers, text, strlen(text), shape, 3);
    for (int i = 1; i <= 6; i++) {
        double number;
        enum numbers_result result = numbers_next(&numbers, &number);
        if (result != NUMBERS_TAKEN)
            return result;
        ck_assert(number == i);
    }
    return NUMBERS_TAKEN;
}

START_TEST(test_numbers_are_flat_or_nested)
{
    ck_assert_int_eq(read_six("[1,2,3,4,5,6]"), NUMBERS_TAKEN);
    ck_assert_int_eq(read_six(" [ 1 , 2e0,\n3.0,0.4e1,\t50E-1,6 ] "), NUMBERS_TAKEN);
    ck_assert_int_eq(read_six("[[[1,2,3]],[[4,5,6]]]"), NUMBERS_TAKEN);
    ck_assert_int_eq(read_six("[ [ [1,2,3] ] , [[4,5,6] ]\n]"), NUMBERS_TAKEN);
}
END_TEST

START_TEST(test_other_shapes_are_refused)
{
    static const char *const others[] = {"[[1,2,3],[4,5,6]]",
                                         "[[[1,2],[3,4],[5,6]]]",
                                         "[[[1,2,3],[4,5,6]]]",
                                         "[[[1,2,3]],[[4,5,6]]",
                                         "[1,2,3,4,5,6",
                                         "[1,2,3,4,5,6]]",
                                         "[1,2,3,4,5,6,7]",
                                         "[1,2,3,4,5,6] x",
                                         "[1,2,3,[4,5,6]]",
                                         "[1,2,3,4,5]",
                                         "[[[1,2,3]],[[4,5,6],]]",
                                         "[[[1,2,3]] [[4,5,6]]]",
                                         "[1 2,3,4,5,6]",
                                         "[]",
                                         "[[]]",
                                         "",
                                         "1"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (read_six(others[i]) != NUMBERS_OTHER_SHAPE)
            ck_abort_msg("%s was read", others[i]);
}
END_TEST

START_TEST(test_what_is_no_number_is_refused)
{
    static const char *const others[] = {"[null",  "[\"1\"", "[,1",   "[+1",  "[01",  "[-",
                                         "[1e",    "[.5",    "[1.",   "[0x1", "[NaN", "[Infinity",
                                         "[1e5e5", "[1-1",   "[true", "[{}",  "[--1", "[-01"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct numbers numbers;
        double number;
        enum numbers_result result;
        numbers_open(&numbers, others[i], strlen(others[i]), shape, 3);
        result = numbers_next(&numbers, &number);
        if (result == NUMBERS_TAKEN)
            ck_abort_msg("%s was read as %g", others[i], number);
    }
}
END_TEST

START_TEST(test_large_and_exact_numbers)
{
    static const size_t one[] = {1};
    static const struct {
        const char *text;
        double number;
    } rows[] = {{"[4294967296]", 4294967296.0},
                {"[999999999]", 999999999},
                {"[-0.25]", -0.25},
                {"[0]", 0},
                {"[255]", 255},
                {"[1e300]", 1e300},
                {"[123456789012345]", 123456789012345}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct numbers numbers;
        double number;
        numbers_open(&numbers, rows[i].text, strlen(rows[i].text), one, 1);
        ck_assert_int_eq(numbers_next(&numbers, &number), NUMBERS_TAKEN);
        ck_assert(number == rows[i].number);
    }
}
END_TEST

/* ---- texts ---- */

/* Reads all elements; gives how many there were, or -1 where they were refused. */
static int count_elements(const void *bytes, size_t size, size_t count)
{
    struct tensor tensor = {.name = "jpeg",
                            .datatype = "BYTES",
                            .shape = {count},
                            .dimensions = 1,
                            .binary = true,
                            .bytes = bytes,
                            .size = size};
    struct elements elements;
    int read = 0;

    clear();
    bool good = elements_open(&elements, &tensor, ELEMENTS_COLUMN, 4, &response);
    for (size_t i = 0; good && i < elements.count; i++) {
        const char *text;
        size_t length;
        good = elements_next(&elements, &text, &length, &response);
        read += good && (const uint8_t *)text + length <= (const uint8_t *)bytes + size;
    }
    elements_close(&elements);
    ck_assert(good == !response.status);
    return good ? read : -1;
}

START_TEST(test_binary_elements)
{
    ck_assert_int_eq(count_elements("\2\0\0\0ab", 6, 1), 1);
    ck_assert_int_eq(count_elements("\0\0\0\0\1\0\0\0x", 9, 2), 2);
    ck_assert_int_eq(count_elements("", 0, 0), 0);
    ck_assert_int_eq(count_elements("x", 1, 0), -1);
    ck_assert_int_eq(count_elements("\2\0\0\0ab", 6, 2), -1);                                /* only one */
    ck_assert_int_eq(count_elements("\2\0\0\0abc", 7, 1), -1);                               /* something behind it */
    ck_assert_int_eq(count_elements("\3\0\0\0ab", 6, 1), -1);                                /* longer than there is */
    ck_assert_int_eq(count_elements("\377\377\377\377ab", 6, 1), -1);                        /* much longer */
    ck_assert_int_eq(count_elements("\2\0\0", 3, 1), -1);                                    /* half a length */
    ck_assert_int_eq(count_elements("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 5), -1); /* more than 4 */
    clear();
}
END_TEST

/* The elements that JSON has, one after the other; NULL where they are refused. */
static const char *join(const char *json, size_t rows, size_t columns, enum elements_form form)
{
    static char joined[64];
    struct cuts cuts;
    char text[128];

    snprintf(text, sizeof text, "{\"inputs\":[{\"data\":%s}]}", json);
    free(cut(text, &cuts));
    struct tensor tensor = {.name = "jpeg",
                            .datatype = "BYTES",
                            .shape = {rows, columns},
                            .dimensions = 2,
                            .bytes = (const uint8_t *)cuts.list[0].text,
                            .size = cuts.list[0].size,
                            .elements = cuts.list[0].elements};
    struct elements elements;
    bool good = elements_open(&elements, &tensor, form, 4, &response);
    joined[0] = 0;
    for (size_t i = 0; good && i < elements.count; i++) {
        const char *element;
        size_t length;
        good = elements_next(&elements, &element, &length, &response);
        if (good)
            strncat(joined, element, length);
    }
    elements_close(&elements);
    return good ? joined : NULL;
}

START_TEST(test_rows_and_columns)
{
    ck_assert_str_eq(join("[\"a\",\"b\"]", 2, 1, ELEMENTS_COLUMN), "ab");
    ck_assert_str_eq(join("[[\"a\"],[\"b\"]]", 2, 1, ELEMENTS_COLUMN), "ab");
    ck_assert_str_eq(join("[\"a\",\"b\"]", 1, 2, ELEMENTS_ROW), "ab");
    ck_assert_str_eq(join("[[\"a\",\"b\"]]", 1, 2, ELEMENTS_ROW), "ab");
    ck_assert_str_eq(join("[[]]", 1, 0, ELEMENTS_ROW), "");
    ck_assert_ptr_null(join("[\"a\",\"b\"]", 1, 2, ELEMENTS_COLUMN));
    ck_assert_ptr_null(join("[\"a\",\"b\"]", 2, 1, ELEMENTS_ROW));
    ck_assert_ptr_null(join("[[\"a\",\"b\"]]", 2, 1, ELEMENTS_COLUMN));
    ck_assert_ptr_null(join("[[\"a\"],\"b\"]", 2, 1, ELEMENTS_COLUMN));
    ck_assert_ptr_null(join("[\"a\",[\"b\"]]", 2, 1, ELEMENTS_COLUMN));
    ck_assert_ptr_null(join("[[[\"a\"]],[[\"b\"]]]", 2, 1, ELEMENTS_COLUMN));
    clear();
}
END_TEST

/* ---- random damage ---- */

static void read_all(const char *text, size_t size)
{
    struct cuts cuts;
    struct bytes rest = {0};
    struct binary binary = {0};
    bool good = cuts_make(&cuts, text, size, &rest, &response);
    json_t *root = good ? json_loadb((const char *)rest.data, rest.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *inputs = json_object_get(root, "inputs");

    for (size_t i = 0; i < json_array_size(inputs); i++) {
        struct tensor tensor;
        struct elements elements;
        struct numbers numbers;
        double number;
        const char *element;
        size_t length;
        if (!tensor_read(&tensor, json_array_get(inputs, i), &cuts, &binary, &response))
            continue;
        good = elements_open(&elements, &tensor, ELEMENTS_COLUMN, 4, &response);
        for (size_t e = 0; good && e < elements.count; e++)
            good = elements_next(&elements, &element, &length, &response);
        elements_close(&elements);
        if (tensor.shape[0] == 0 || tensor.shape[0] > 8 || tensor.dimensions != 1)
            continue;
        numbers_open(&numbers, (const char *)tensor.bytes, tensor.size, tensor.shape, 1);
        while (numbers.index < numbers.total && numbers_next(&numbers, &number) == NUMBERS_TAKEN)
            ;
    }
    json_decref(root);
    bytes_free(&rest);
    clear();
}

START_TEST(test_damage)
{
    static const char whole[] =
        "{\"id\":\"a\",\"inputs\":[{\"name\":\"jpeg\",\"shape\":[2],\"datatype\":\"BYTES\",\"data\":[\"/9j/\",\"b\"]},"
        "{\"name\":\"image\",\"datatype\":\"FP32\",\"shape\":[3],\"data\":[[1,2.5],-3e1]}],\"outputs\":[]}";
    static const char pieces[] = "{}[]\",:\\ 0919e-+.\n\tu\0\xff";
    char *text = malloc(sizeof whole);
    uint64_t random = 5;

    for (int i = 0; i < 40000; i++) {
        memcpy(text, whole, sizeof whole);
        size_t size = sizeof whole - 1, changes = 1 + random_below(&random, 4);
        for (size_t c = 0; c < changes; c++)
            text[random_below(&random, size)] = pieces[random_below(&random, sizeof pieces - 1)];
        if (random_below(&random, 4) == 0)
            size = random_below(&random, size);
        char *exact = malloc(size + !size); /* so that a sanitizer sees what is read behind it */
        memcpy(exact, text, size);
        read_all(exact, size);
        free(exact);
    }
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("v2");
    TCase *all = tcase_create("v2");

    tcase_set_timeout(all, 120);
    tcase_add_test(all, test_data_is_cut_out);
    tcase_add_test(all, test_several_inputs);
    tcase_add_test(all, test_what_cannot_be_cut_is_refused);
    tcase_add_test(all, test_the_rest_is_bounded);
    tcase_add_test(all, test_numbers_are_flat_or_nested);
    tcase_add_test(all, test_other_shapes_are_refused);
    tcase_add_test(all, test_what_is_no_number_is_refused);
    tcase_add_test(all, test_large_and_exact_numbers);
    tcase_add_test(all, test_binary_elements);
    tcase_add_test(all, test_rows_and_columns);
    tcase_add_test(all, test_damage);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
