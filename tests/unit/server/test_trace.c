/* traceparent, and the random names that requests and spans get. */
#include "server/http/random_hex.h"
#include "server/http/request_id.h"
#include "server/http/trace.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static struct trace trace;

/* The header's bytes stand in memory of their exact size, so that a sanitizer sees it if one behind them is read. */
static void take(const char *offered)
{
    size_t length = strlen(offered);
    char *bytes = malloc(length);

    memcpy(bytes, offered, length);
    trace_take(&trace, bytes, length);
    free(bytes);
}

static bool is_lower_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

START_TEST(test_a_valid_one_is_taken_over)
{
    static const struct {
        const char *offered;
        bool sampled;
    } rows[] = {
        {"00-" TRACE "-" PARENT "-00", false}, {"00-" TRACE "-" PARENT "-01", true},
        {"00-" TRACE "-" PARENT "-ff", true},  {"00-" TRACE "-" PARENT "-02", false},
        {"01-" TRACE "-" PARENT "-01", true},  {"fe-" TRACE "-" PARENT "-01", true},
        {"cc-" TRACE "-" PARENT "-01-", true}, {"cc-" TRACE "-" PARENT "-00-what.Ever=it is", false},
    };
    char text[TRACEPARENT_LENGTH + 1], expected[TRACEPARENT_LENGTH + 1];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        take(rows[i].offered);
        ck_assert_str_eq(trace.trace_id, TRACE);
        ck_assert_str_eq(trace.parent_span_id, PARENT);
        ck_assert_int_eq(trace.sampled, rows[i].sampled);
        ck_assert(is_lower_hex(trace.span_id, SPAN_ID_DIGITS));
        ck_assert_str_ne(trace.span_id, PARENT);
        snprintf(expected, sizeof expected, "00-" TRACE "-%s-%s", trace.span_id, rows[i].sampled ? "01" : "00");
        trace_write(&trace, text);
        ck_assert_str_eq(text, expected);
    }
}
END_TEST

START_TEST(test_any_other_is_not)
{
    static const char *const rows[] = {
        "",
        "00",
        "00-" TRACE "-" PARENT,                                  /* no flags */
        "00-" TRACE "-" PARENT "-0",                             /* too short */
        "00-" TRACE "-" PARENT "-01-",                           /* too long for its version */
        "00-" TRACE "-" PARENT "-01-more",                       /* likewise */
        "00-" TRACE "-" PARENT "-011",                           /* likewise */
        "01-" TRACE "-" PARENT "-01.more",                       /* a later one, but not behind a dash */
        "ff-" TRACE "-" PARENT "-01",                            /* the version that there is not */
        "FE-" TRACE "-" PARENT "-01",                            /* upper case */
        "0g-" TRACE "-" PARENT "-01",                            /* no digit */
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",     /* upper case */
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01",     /* no digit */
        "00-" TRACE "-00F067AA0BA902B7-01",                      /* upper case */
        "00-" TRACE "-00f067aa0ba902b -01",                      /* no digit */
        "00-" TRACE "-" PARENT "-0A",                            /* upper case */
        "00-" TRACE "-" PARENT "-0x",                            /* no digit */
        "00-00000000000000000000000000000000-" PARENT "-01",     /* no trace */
        "00-" TRACE "-0000000000000000-01",                      /* no span */
        "00_" TRACE "-" PARENT "-01",                            /* no dash */
        "00-" TRACE "_" PARENT "-01",                            /* likewise */
        "00-" TRACE "-" PARENT "_01",                            /* likewise */
        " 00-" TRACE "-" PARENT "-01",                           /* a blank */
        "00-" TRACE "-" PARENT "-01 ",                           /* likewise */
        "00-" TRACE "-" PARENT "-01,00-" TRACE "-" PARENT "-01", /* two of them */
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        take(rows[i]);
        ck_assert_msg(strcmp(trace.trace_id, TRACE) != 0, "'%s' was taken over", rows[i]);
        ck_assert(is_lower_hex(trace.trace_id, TRACE_ID_DIGITS));
        ck_assert(is_lower_hex(trace.span_id, SPAN_ID_DIGITS));
        ck_assert_str_eq(trace.parent_span_id, "");
        ck_assert(!trace.sampled);
    }
    trace_take(&trace, NULL, 0);
    ck_assert(is_lower_hex(trace.trace_id, TRACE_ID_DIGITS));
}
END_TEST

/* ---- random names ---- */

enum { THREADS = 4, NAMES = 500, DIGITS = 32 };

static char names[THREADS * NAMES][DIGITS + 1];

static void *make_names(void *context)
{
    for (size_t i = 0; i < NAMES; i++)
        random_hex(((char(*)[DIGITS + 1]) context)[i], DIGITS);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

START_TEST(test_names_are_all_different)
{
    pthread_t threads[THREADS];
    unsigned seen[256] = {0};

    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, make_names, names[i * NAMES]);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(names, THREADS * NAMES, sizeof *names, compare);
    for (size_t i = 0; i < THREADS * NAMES; i++) {
        ck_assert(is_lower_hex(names[i], DIGITS));
        ck_assert(i == 0 || strcmp(names[i - 1], names[i]) != 0);
        for (size_t at = 0; at < DIGITS; at++)
            seen[(unsigned char)names[i][at]]++;
    }
    for (const char *digit = "0123456789abcdef"; *digit; digit++) /* 4000 of each, give or take 61 */
        ck_assert_uint_gt(seen[(unsigned char)*digit], 3000);
}
END_TEST

START_TEST(test_request_ids)
{
    char id[REQUEST_ID_MAX + 1], again[REQUEST_ID_MAX + 1], longest[REQUEST_ID_MAX + 2];

    request_id_choose(id, "Order-7_a.b", 11);
    ck_assert_str_eq(id, "Order-7_a.b");
    memset(longest, 'x', sizeof longest);
    request_id_choose(id, longest, REQUEST_ID_MAX);
    ck_assert_uint_eq(strlen(id), REQUEST_ID_MAX);
    request_id_choose(id, longest, REQUEST_ID_MAX + 1);
    ck_assert(is_lower_hex(id, 32));
    request_id_choose(again, "a b", 3);
    ck_assert(is_lower_hex(again, 32));
    ck_assert_str_ne(id, again);
    request_id_choose(id, NULL, 0);
    ck_assert(is_lower_hex(id, 32));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tests = tcase_create("trace");

    tcase_add_test(tests, test_a_valid_one_is_taken_over);
    tcase_add_test(tests, test_any_other_is_not);
    tcase_add_test(tests, test_names_are_all_different);
    tcase_add_test(tests, test_request_ids);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
