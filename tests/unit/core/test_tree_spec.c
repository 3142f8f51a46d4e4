/* The reader of model.json against descriptions that are wrong. */
#include "core/memory.h"
#include "core/tree_spec.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT "\"input\":{\"channels\":3,\"height\":8,\"width\":8,\"mean\":[0,0,0],\"std\":[1,1,1]}"
#define HEAD  "{\"format\":1,\"name\":\"t\",\"version\":\"1\"," INPUT ","

static struct esp_tree_spec spec;

static enum esp_status parse(const char *text, struct esp_error *err)
{
    *err = (struct esp_error){0};
    return esp_tree_spec_parse(&spec, text, strlen(text), err);
}

static void refused(const char *text, const char *part)
{
    struct esp_error err;

    ck_assert_int_eq(parse(text, &err), ESP_ERROR_MODEL);
    if (!strstr(err.text, part))
        ck_abort_msg("\"%s\" does not say \"%s\"", err.text, part);
    esp_tree_spec_release(&spec);
}

/* A leaf `a` with the one layer. */
static void refused_layer(const char *layer, const char *part)
{
    char text[1024];
    snprintf(text, sizeof text, HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"layers\":[%s]}]}}",
             layer);
    refused(text, part);
}

START_TEST(test_good_tree)
{
    struct esp_error err;

    if (parse(
            HEAD
            "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"label\":\"An A\",\"layers\":[],\"head\":true,"
            "\"children\":[{\"name\":\"b\",\"layers\":[{\"op\":\"conv\",\"name\":\"c\",\"out\":2,\"kernel\":[3,1]}]}]},"
            "{\"name\":\"b\",\"layers\":[]}]}}",
            &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_uint_eq(spec.count, 4);
    ck_assert_str_eq(spec.nodes[2].path, "a/b");
    ck_assert_str_eq(spec.nodes[3].path, "b");
    ck_assert_str_eq(spec.nodes[1].label, "An A");
    ck_assert_str_eq(spec.nodes[2].label, "b");
    ck_assert_uint_eq(spec.nodes[1].subtree_end, 3);
    ck_assert_uint_eq(spec.nodes[0].subtree_end, 4);
    ck_assert(spec.nodes[1].head && !spec.nodes[1].leaf && spec.nodes[2].leaf && spec.nodes[2].head);
    ck_assert_uint_eq(spec.nodes[2].layers.items[0].window.kernel_w, 1);
    esp_tree_spec_release(&spec);
}
END_TEST

START_TEST(test_bad_trees)
{
    refused("", "not valid JSON");
    refused("[]", "has to be an object");
    refused("{\"format\":2,\"name\":\"t\",\"version\":\"1\"," INPUT ",\"trunk\":{}}", "format");
    refused("{\"format\":1,\"name\":\"a b\",\"version\":\"1\"," INPUT ",\"trunk\":{}}", "name");
    refused("{\"format\":1,\"name\":\"t\"," INPUT ",\"trunk\":{}}", "version");
    refused("{\"format\":1,\"name\":\"t\",\"version\":\"1\",\"trunk\":{}}", "input");
    refused(HEAD "\"trunk\":{\"layers\":[]}}", "no children");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[]}}", "not empty");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":{}}}", "not empty");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"A\",\"layers\":[]}]}}", "proper name");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"trunk\",\"layers\":[]}]}}", "proper name");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"../x\",\"layers\":[]}]}}", "proper name");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\"}]}}", "layers has to be a list");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"layers\":[],\"head\":false}]}}",
            "needs a head");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"layers\":[],\"head\":1}]}}",
            "true or false");
    refused(HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"layers\":[],\"heat\":true}]}}", "heat");
    refused(HEAD
            "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\",\"layers\":[]},{\"name\":\"a\",\"layers\":[]}]}}",
            "two children called a");
}
END_TEST

/* A group `g` with two leaves and what they have beside their names. */
static enum esp_status parse_calibrated(const char *group, const char *first, const char *second, struct esp_error *err)
{
    static char text[1024];

    snprintf(text, sizeof text,
             HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"g\",%s\"layers\":[],\"children\":["
                  "{\"name\":\"a\",%s\"layers\":[]},{\"name\":\"b\",%s\"layers\":[]}]}]}}",
             group, first, second);
    return parse(text, err);
}

START_TEST(test_ids)
{
#define IDS(a, b)                                                                                                      \
    HEAD "\"trunk\":{\"layers\":[],\"children\":[{\"name\":\"a\"," a "\"layers\":[]},{\"name\":\"b\"," b               \
         "\"layers\":[]}]}}"
    struct esp_error err;

    if (parse(IDS("\"id\":\"n02123045\",", ""), &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_str_eq(spec.nodes[1].id, "n02123045");
    ck_assert_ptr_null(spec.nodes[2].id);
    esp_tree_spec_release(&spec);
    refused(IDS("\"id\":7,", ""), "a: id has to be 1 to 64");
    refused(IDS("\"id\":\"\",", ""), "a: id has to be 1 to 64");
    refused(IDS("", "\"id\":\"a b\","), "b: id has to be 1 to 64");
    refused(IDS("\"id\":\"x\",", "\"id\":\"x\","), "two branches have the id x");
#undef IDS
}
END_TEST

#define CALIBRATED "\"calibration\":{\"slope\":2,\"offset\":-0.5},"

START_TEST(test_calibrations)
{
    struct esp_error err;

    if (parse_calibrated("", CALIBRATED, CALIBRATED, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert(spec.calibrated && spec.nodes[2].calibrated && !spec.nodes[1].calibrated);
    ck_assert_double_eq(spec.nodes[2].calibration.slope, 2);
    ck_assert_double_eq(spec.nodes[3].calibration.offset, -0.5);
    esp_tree_spec_release(&spec);
    ck_assert_int_eq(parse_calibrated("", "", "", &err), ESP_OK);
    ck_assert(!spec.calibrated);
    esp_tree_spec_release(&spec);
}
END_TEST

static void refused_calibration(const char *group, const char *first, const char *second, const char *part)
{
    struct esp_error err;

    ck_assert_int_eq(parse_calibrated(group, first, second, &err), ESP_ERROR_MODEL);
    if (!strstr(err.text, part))
        ck_abort_msg("\"%s\" does not say \"%s\"", err.text, part);
    esp_tree_spec_release(&spec);
}

START_TEST(test_bad_calibrations)
{
    static const char *const bad[][2] = {
        {"7", "g/a: calibration has to be an object"},
        {"{}", "slope has to be a number above 0"},
        {"{\"slope\":1}", "offset has to be a number"},
        {"{\"offset\":1}", "slope has to be a number above 0"},
        {"{\"slope\":0,\"offset\":1}", "above 0"},
        {"{\"slope\":-1,\"offset\":1}", "above 0"},
        {"{\"slope\":\"1\",\"offset\":1}", "above 0"},
        {"{\"slope\":1,\"offset\":true}", "offset has to be a number"},
        {"{\"slope\":1e999,\"offset\":1}", "not valid JSON"},
        {"{\"slope\":1,\"offset\":-1e999}", "not valid JSON"},
        {"{\"slope\":NaN,\"offset\":1}", "not valid JSON"},
        {"{\"slope\":1,\"offset\":1,\"bias\":1}", "\"bias\" is not a member"},
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char leaf[128];
        snprintf(leaf, sizeof leaf, "\"calibration\":%s,", bad[i][0]);
        refused_calibration("", leaf, CALIBRATED, bad[i][1]);
    }
    refused_calibration("", CALIBRATED, "", "g/a has a calibration and g/b has none");
    refused_calibration("", "", CALIBRATED, "g/b has a calibration and g/a has none");
    refused_calibration(CALIBRATED, CALIBRATED, CALIBRATED, "g: calibration: only categories");
}
END_TEST

START_TEST(test_bad_layers)
{
    refused_layer("{\"op\":\"teleport\"}", "a: layer 1");
    refused_layer("{}", "a: layer 1");
    refused_layer("7", "a: layer 1");
    refused_layer("{\"op\":\"conv\",\"out\":1,\"kernel\":1}", "proper name");
    refused_layer("{\"op\":\"conv\",\"name\":\"head\",\"out\":1,\"kernel\":1}", "proper name");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"kernel\":1}", "layer c: out");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1}", "layer c: kernel");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":0}", "kernel");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":[1,2,3]}", "kernel");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":1,\"stride\":0}", "stride");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":1,\"padding\":-1}", "padding");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":99999999,\"kernel\":1}", "out");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":1,\"activation\":\"tanh\"}", "activation");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":1,\"color\":1}", "color");
    refused_layer("{\"op\":\"max_pool\",\"kernel\":2,\"padding\":2}", "half");
    refused_layer("{\"op\":\"max_pool\",\"kernel\":2,\"count_padding\":true}", "count_padding");
    refused_layer("{\"op\":\"residual\",\"name\":\"r\",\"body\":[]}", "not empty");
    refused_layer("{\"op\":\"squeeze_excitation\",\"name\":\"s\",\"hidden\":2,\"gate\":\"relu\"}", "gate");
    refused_layer("{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":1},{\"op\":\"conv\",\"name\":\"c\",\"out\":1,"
                  "\"kernel\":1}",
                  "two layers are called c");
}
END_TEST

/* Repeats `open`, then closes: nesting beyond the limits. */
static void refused_nesting(const char *before, const char *open, const char *core, const char *close,
                            const char *after, size_t times, const char *part)
{
    char *text = calloc(1, strlen(before) + strlen(core) + strlen(after) + times * (strlen(open) + strlen(close)) + 1);

    strcat(text, before);
    for (size_t i = 0; i < times; i++)
        strcat(text, open);
    strcat(text, core);
    for (size_t i = 0; i < times; i++)
        strcat(text, close);
    strcat(text, after);
    refused(text, part);
    free(text);
}

START_TEST(test_nesting_is_bounded)
{
    refused_nesting(HEAD "\"trunk\":{\"layers\":[],\"children\":[", "{\"name\":\"a\",\"layers\":[],\"children\":[",
                    "{\"name\":\"a\",\"layers\":[]}", "]}", "]}}", 40, "deeper than");
    refused_nesting(HEAD "\"trunk\":{\"layers\":[", "{\"op\":\"residual\",\"name\":\"r\",\"body\":[",
                    "{\"op\":\"global_avg_pool\"}", "]}", "],\"children\":[{\"name\":\"a\",\"layers\":[]}]}}", 20,
                    "inside each other");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree_spec");
    TCase *tests = tcase_create("reader");

    tcase_add_test(tests, test_good_tree);
    tcase_add_test(tests, test_bad_trees);
    tcase_add_test(tests, test_ids);
    tcase_add_test(tests, test_calibrations);
    tcase_add_test(tests, test_bad_calibrations);
    tcase_add_test(tests, test_bad_layers);
    tcase_add_test(tests, test_nesting_is_bounded);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
