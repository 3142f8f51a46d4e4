/* The rooms of the server that need no network: base64, CPU quotas, figures, whole numbers. */
#include "server/base64.h"
#include "server/cpus.h"
#include "server/figures.h"
#include "server/json_whole.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool decodes(const char *text, const char *expected)
{
    uint8_t out[64];
    size_t size;
    return base64_decode(text, strlen(text), out, &size) && size == strlen(expected) &&
           memcmp(out, expected, size) == 0;
}

START_TEST(test_base64)
{
    static const char *const bad[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm9v\n", "Zm 9", "Zm9-", "=m9v", "Zg==Zg=="};

    ck_assert(decodes("", "") && decodes("Zg==", "f") && decodes("Zm8=", "fo") && decodes("Zm9v", "foo"));
    ck_assert(decodes("Zm9vYg==", "foob") && decodes("Zm9vYmE=", "fooba") &&
              decodes("Pz8/Pj4+", "?"
                                  "?"
                                  "?>>>"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (decodes(bad[i], "f") || decodes(bad[i], "fo") || decodes(bad[i], "foo") || decodes(bad[i], ""))
            ck_abort_msg("\"%s\" was decoded", bad[i]);
}
END_TEST

static char root[64];

static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *out = fopen(full, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

static void new_root(void)
{
    strcpy(root, "/tmp/espalier-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
}

static void remove_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(test_cpu_quota_of_cgroup_2)
{
    new_root();
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/sys/fs/cgroup/a/b/cpu.max", "250000 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 3); /* rounded up */
    put("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    ck_assert_uint_eq(cpus_quota(root), 1); /* the parent's is smaller */
    put("/sys/fs/cgroup/cpu.max", "nonsense\n");
    ck_assert_uint_eq(cpus_quota(root), 1);
    remove_root();
}
END_TEST

START_TEST(test_cpu_quota_of_cgroup_1)
{
    new_root();
    put("/proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us", "100000\n");
    ck_assert_uint_eq(cpus_quota(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "400000\n");
    ck_assert_uint_eq(cpus_quota(root), 4);
    remove_root();
    ck_assert_uint_ge(cpus_usable(), 1);
}
END_TEST

START_TEST(test_figures)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {{0, "0"},
                {999, "999"},
                {1000, "1.00 k"},
                {6937, "6.94 k"},
                {442380, "442.4 k"},
                {999949, "999.9 k"},
                {999999, "1.00 M"},
                {4311400, "4.31 M"},
                {295872864, "295.9 M"},
                {12000000000, "12.0 G"}};
    char text[FIGURE_MAX];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_str_eq(figure_write(rows[i].value, text), rows[i].text);
    ck_assert_double_eq(figure_excluded(44163084, 295872864), 0.8507);
    ck_assert_double_eq(figure_excluded(5, 5), 0);
    ck_assert(!signbit(figure_excluded(1000001, 1000000))); /* no "-0.0 %" */
    ck_assert_double_eq(figure_excluded(6, 5), 0);
    ck_assert_int_eq(figure_columns("└─ tabby"), 8);
}
END_TEST

/* JSON does not tell 1 from 1.0, and nobody who writes 1e300 wants a conversion that C does not define. */
START_TEST(test_whole_numbers_of_json)
{
    static const struct {
        const char *text;
        uint64_t number;
    } rows[] = {{"0", 0},
                {"7", 7},
                {"9223372036854775807", INT64_MAX},
                {"0.0", 0},
                {"-0.0", 0},
                {"7.0", 7},
                {"70e-1", 7},
                {"1e8", 100000000},
                {"9007199254740991.0", 9007199254740991},
                {"9007199254740994.0", 9007199254740994},
                {"9223372036854774784.0", 9223372036854774784u}, /* the last double before 2^63 */
                {"9223372036854775808.0", INT64_MAX},
                {"1e19", INT64_MAX},
                {"1e300", INT64_MAX}};
    static const char *const others[] = {"-1",    "-1.0", "1.5",  "0.1", "1e-300", "-1e300", "4503599627370495.5",
                                         "\"1\"", "true", "null", "[1]", "{}"};
    uint64_t number;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *value = json_loads(rows[i].text, JSON_DECODE_ANY, NULL);
        ck_assert_msg(json_whole(value, &number), "%s", rows[i].text);
        ck_assert_uint_eq(number, rows[i].number);
        json_decref(value);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        json_t *value = json_loads(others[i], JSON_DECODE_ANY, NULL);
        ck_assert_ptr_nonnull(value);
        ck_assert_msg(!json_whole(value, &number), "%s", others[i]);
        json_decref(value);
    }
    ck_assert(!json_whole(NULL, &number));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tests = tcase_create("server");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_base64);
    tcase_add_test(tests, test_cpu_quota_of_cgroup_2);
    tcase_add_test(tests, test_cpu_quota_of_cgroup_1);
    tcase_add_test(tests, test_figures);
    tcase_add_test(tests, test_whole_numbers_of_json);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
