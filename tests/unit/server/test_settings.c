/* Settings: their values, where they come from and what beats what, the configuration file, secrets, the help texts. */
#include "server/config/settings.h"
#include "server/config/values.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct settings settings;
static struct esp_error err;
static char printed[1 << 16];

static enum esp_status read_flags(int count, const char *const *flags)
{
    char *argv[16] = {(char *)"serve"};
    for (int i = 0; i < count; i++)
        argv[i + 1] = (char *)flags[i];
    err = (struct esp_error){0};
    settings_free(&settings);
    return settings_read(&settings, count + 1, argv, &err);
}

#define READ(...) read_flags(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static enum esp_status complete(void)
{
    err = (struct esp_error){0};
    return settings_complete(&settings, &err);
}

static void assert_error(const char *part)
{
    if (err.status == ESP_OK || !strstr(err.text, part))
        ck_abort_msg("the error is \"%s\", not \"%s\"", err.text, part);
}

/* ---- files ---- */

static char path[] = "/tmp/espalier-settings-XXXXXX";

/* Before each test a file, and after it no trace of it. */
static void make_file(void)
{
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void remove_file(void)
{
    static const char *const variables[] = {"ESPALIER_CONFIG", "ESPALIER_QUEUE_DEPTH", "ESPALIER_KERNELS",
                                            "ESPALIER_CONNECTIONS", "ESPALIER_ADMIN_TOKEN"};

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    settings_free(&settings);
    unlink(path);
    strcpy(path + strlen(path) - 6, "XXXXXX");
}

static void write_bytes(const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

static enum esp_status read_file_of(const char *text)
{
    write_bytes(text, strlen(text));
    return READ("--config", path);
}

static enum esp_status read_token(const char *text)
{
    write_bytes(text, strlen(text));
    ck_assert_int_eq(READ("--admin-token-file", path), ESP_OK);
    return complete();
}

/* ---- values ---- */

START_TEST(test_flags)
{
    ck_assert_int_eq(read_flags(0, NULL), ESP_OK);
    ck_assert_str_eq(settings.listen, "127.0.0.1:8080");
    ck_assert_uint_eq(settings.instances, 0);
    ck_assert_int_eq(READ("--queue-depth", "7", "--listen=[::1]:0"), ESP_OK);
    ck_assert_uint_eq(settings.queue_depth, 7);
    ck_assert_str_eq(settings.listen, "[::1]:0");
    ck_assert_int_eq(READ("--queue-depth", "0"), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--queue-depth is '0'; give a whole number from 1 to 65536");
    ck_assert_int_eq(READ("--queue-depth", " 7"), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(READ("--queue-depth", "99999999999999999999"), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(READ("--queue-depth"), ESP_ERROR_ARGUMENT);
    assert_error("write --queue-depth NUMBER");
    ck_assert_int_eq(READ("--queue", "7"), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(READ("stray"), ESP_ERROR_ARGUMENT);
}
END_TEST

START_TEST(test_words_of_a_list)
{
    static const char *const bad[] = {"", "t", "texts", "|", "text|json", "json|", "TEXT", "off"};

    ck_assert_int_eq(READ("--log-format", "json", "--log-level", "off"), ESP_OK);
    ck_assert_str_eq(settings.log_format, "json");
    ck_assert_str_eq(settings.log_level, "off");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(READ("--log-format", bad[i]), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--log-format is 'off'; give text or json");
    ck_assert_int_eq(READ("--log-level", "loud"), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--log-level is 'loud'; give debug, info, warn, error or off");
    ck_assert_int_eq(value_choice("it", "one", "one", NULL), ESP_OK);
    ck_assert_int_eq(value_choice("it", "two", "one", NULL), ESP_ERROR_ARGUMENT);
}
END_TEST

START_TEST(test_precision_is_one_of_three_words)
{
    enum esp_precision precision;

    ck_assert_int_eq(read_flags(0, NULL), ESP_OK);
    ck_assert_str_eq(settings.precision, "auto");
    ck_assert_int_eq(READ("--precision", "bf16"), ESP_OK);
    ck_assert_str_eq(settings.precision, "bf16");
    ck_assert_int_eq(READ("--precision", "fp16"), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--precision is 'fp16'; give fp32, bf16 or auto");
    ck_assert_int_eq(READ("--precision", ""), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(value_precision("--precision", "fp32", &precision, NULL), ESP_OK);
    ck_assert_int_eq(precision, ESP_PRECISION_FP32);
    ck_assert_int_eq(value_precision("--precision", "bf16", &precision, NULL), ESP_OK);
    ck_assert_int_eq(precision, ESP_PRECISION_BF16);
    ck_assert_int_eq(value_precision("--precision", "auto", &precision, NULL), ESP_OK);
    ck_assert_int_eq(precision, ESP_PRECISION_AUTO);
}
END_TEST

/* ---- what beats what ---- */

START_TEST(test_the_environment)
{
    setenv("ESPALIER_QUEUE_DEPTH", "9", 1);
    setenv("ESPALIER_KERNELS", "plain", 1);
    ck_assert_int_eq(READ("--kernels=openblas"), ESP_OK);
    ck_assert_uint_eq(settings.queue_depth, 9);
    ck_assert_str_eq(settings.kernels, "openblas");
    setenv("ESPALIER_QUEUE_DEPTH", "-9", 1);
    ck_assert_int_eq(read_flags(0, NULL), ESP_ERROR_ARGUMENT);
    assert_error("ESPALIER_QUEUE_DEPTH is '-9'");
}
END_TEST

START_TEST(test_flags_beat_the_environment_which_beats_the_file)
{
    setenv("ESPALIER_QUEUE_DEPTH", "2", 1);
    setenv("ESPALIER_CONNECTIONS", "2", 1);
    write_bytes("queue-depth=3\nconnections=3\nio-threads=3\n", 41);
    ck_assert_int_eq(READ("--config", path, "--queue-depth", "1"), ESP_OK);
    ck_assert_uint_eq(settings.queue_depth, 1);
    ck_assert_uint_eq(settings.connections, 2);
    ck_assert_uint_eq(settings.io_threads, 3);
    ck_assert_uint_eq(settings.batch, 8);
}
END_TEST

START_TEST(test_the_environment_names_the_file_unless_a_flag_does)
{
    setenv("ESPALIER_CONFIG", path, 1);
    write_bytes("batch = 3\n", 10);
    ck_assert_int_eq(read_flags(0, NULL), ESP_OK);
    ck_assert_uint_eq(settings.batch, 3);
    ck_assert_int_eq(READ("--config="), ESP_OK);
    ck_assert_uint_eq(settings.batch, 8);
    setenv("ESPALIER_CONFIG", "/nowhere", 1);
    ck_assert_int_eq(READ("--config", path), ESP_OK);
    ck_assert_uint_eq(settings.batch, 3);
    ck_assert_int_eq(read_flags(0, NULL), ESP_ERROR_IO);
    ck_assert_str_eq(err.text, "cannot read the configuration file /nowhere: No such file or directory");
    ck_assert_int_eq(READ("--config", "/tmp"), ESP_ERROR_IO);
}
END_TEST

/* ---- the configuration file ---- */

START_TEST(test_lines_of_the_file)
{
    ck_assert_int_eq(read_file_of(""), ESP_OK);
    ck_assert_int_eq(read_file_of("\n# comment = 1\n   \t\n  #batch = x\n"
                                  "queue-depth=7\r\n"
                                  " model \t=  /srv/my networks = #1 \t \n"
                                  "default-model=\n"
                                  "log-format = json"),
                     ESP_OK);
    ck_assert_uint_eq(settings.queue_depth, 7);
    ck_assert_str_eq(settings.model, "/srv/my networks = #1");
    ck_assert_str_eq(settings.default_model, "");
    ck_assert_str_eq(settings.log_format, "json");
}
END_TEST

START_TEST(test_errors_name_file_and_line)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        {"\n\nbatch = 0\n", ":3: batch is '0'; give a whole number from 1 to 64"},
        {"batch = 7 # few", ":1: batch is '7 # few'; give a whole number"},
        {"log-level = \n", ":1: log-level is ''; give debug"},
        {"# one\ndance = 1\n", ":2: there is no setting 'dance'"},
        {"--batch = 1\n", ":1: there is no setting '--batch'"},
        {"= 1\n", ":1: there is no setting ''"},
        {"c2VjcmV0LXRva2Vu=\n", ":1: there is no setting '...'"},
        {"batch = 1\n\nbatch = 1\n", ":3: line 1 has set batch already"},
        {"batch\n", ":1: there is no '='; write NAME = VALUE"},
        {"config = x\n", ":1: a configuration file cannot name another one"},
    };
    char expected[256];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(read_file_of(rows[i].text), ESP_ERROR_ARGUMENT);
        snprintf(expected, sizeof expected, "%s%s", path, rows[i].error);
        ck_assert_int_eq(strncmp(err.text, expected, strlen(expected)), 0);
    }
}
END_TEST

START_TEST(test_files_that_are_none)
{
    static char text[(1 << 16) + 1];

    write_bytes("batch = 1\nmodel = a\0b\n", 22);
    ck_assert_int_eq(READ("--config", path), ESP_ERROR_ARGUMENT);
    assert_error(":2: there is a NUL");
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "#", 1);
    write_bytes(text, 4096);
    ck_assert_int_eq(READ("--config", path), ESP_OK);
    write_bytes(text, 4097);
    ck_assert_int_eq(READ("--config", path), ESP_ERROR_ARGUMENT);
    assert_error(":1: the line has 4097 characters; 4096 are allowed");
    memset(text, '\n', sizeof text);
    write_bytes(text, sizeof text - 1);
    ck_assert_int_eq(READ("--config", path), ESP_OK);
    write_bytes(text, sizeof text);
    ck_assert_int_eq(READ("--config", path), ESP_ERROR_ARGUMENT);
    assert_error("more than 65536 bytes");
}
END_TEST

/* A path of any length leaves room for what is wrong. */
START_TEST(test_a_long_path_leaves_the_error_whole)
{
    char longer[1100] = "/tmp/";

    for (int i = 0; i < 500; i++)
        strcat(longer, "./");
    strcat(longer, path + strlen("/tmp/"));
    write_bytes("batch = 0\n", 10);
    ck_assert_int_eq(READ("--config", longer), ESP_ERROR_ARGUMENT);
    assert_error(":1: batch is '0'; give a whole number from 1 to 64");
}
END_TEST

/* ---- secrets ---- */

#define TOKEN "correct-horse-battery"

START_TEST(test_tokens)
{
    static const char *const bad[] = {"hush-hush-123", "hush hush hush hush", "hush-hush-hush-hush\t",
                                      "hush-hush-hush-h\xc3\xa4"};
    char file[64];

    ck_assert_int_eq(READ("--admin-token", TOKEN), ESP_OK);
    ck_assert_str_eq(settings.admin_token, TOKEN);
    ck_assert_int_eq(READ("--admin-token="), ESP_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(READ("--admin-token", bad[i]), ESP_ERROR_ARGUMENT);
        ck_assert_ptr_null(strstr(err.text, "hush"));
        snprintf(file, sizeof file, "admin-token = %s\n", bad[i]);
        if (i != 2) { /* the file's lines are trimmed */
            ck_assert_int_eq(read_file_of(file), ESP_ERROR_ARGUMENT);
            ck_assert_ptr_null(strstr(err.text, "hush"));
        }
    }
    ck_assert_int_eq(READ("--admin-token", bad[0]), ESP_ERROR_ARGUMENT);
    assert_error("--admin-token has 13 characters; give 16 to 1024");
    ck_assert_int_eq(READ("--admin-tokken=hush"), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_null(strstr(err.text, "hush"));
    ck_assert_int_eq(READ("--admin-token", TOKEN, "hush"), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "argument 3 is no flag; see espalier serve --help");
    ck_assert_int_eq(read_file_of("admin-token hush\n"), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_null(strstr(err.text, "hush"));
}
END_TEST

START_TEST(test_token_of_a_file)
{
    static const char *const good[] = {TOKEN, TOKEN "\n", TOKEN "\r\n", TOKEN "\n\nanything\n"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_int_eq(read_token(good[i]), ESP_OK);
        ck_assert_str_eq(settings.admin_token, TOKEN);
    }
    ck_assert_int_eq(read_token(""), ESP_ERROR_ARGUMENT);
    assert_error("is empty; write the token there");
    ck_assert_int_eq(read_token("\n" TOKEN "\n"), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(read_token("hush\n"), ESP_ERROR_ARGUMENT);
    assert_error("has 4 characters; give 16 to 1024");
    ck_assert_ptr_null(strstr(err.text, "hush"));
    ck_assert_int_eq(read_token(TOKEN " \n"), ESP_ERROR_ARGUMENT);
    write_bytes(TOKEN "\0\n", sizeof TOKEN + 1);
    ck_assert_int_eq(READ("--admin-token-file", path), ESP_OK);
    ck_assert_int_eq(complete(), ESP_ERROR_ARGUMENT);
    assert_error("is no text");
    ck_assert_int_eq(READ("--admin-token-file", "/dev/zero"), ESP_OK);
    ck_assert_int_eq(complete(), ESP_ERROR_ARGUMENT);
    memset(printed, 'x', sizeof printed);
    memcpy(printed, TOKEN "\n", sizeof TOKEN);
    write_bytes(printed, sizeof printed);
    ck_assert_int_eq(READ("--admin-token-file", path), ESP_OK);
    ck_assert_int_eq(complete(), ESP_OK);
    ck_assert_str_eq(settings.admin_token, TOKEN);
    ck_assert_int_eq(READ("--admin-token-file", "/nowhere"), ESP_OK);
    ck_assert_int_eq(complete(), ESP_ERROR_IO);
    assert_error("cannot read admin-token-file /nowhere: No such file");
}
END_TEST

START_TEST(test_contradictions)
{
    ck_assert_int_eq(READ("--admin-token", TOKEN, "--admin-token-file", path), ESP_OK);
    ck_assert_int_eq(complete(), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "both admin-token and admin-token-file are given; give one of them");
}
END_TEST

/* ---- help ---- */

static const char *help(enum settings_help form)
{
    FILE *out = fmemopen(printed, sizeof printed, "w");
    settings_help(form, out);
    fclose(out);
    return printed;
}

START_TEST(test_forms_of_help)
{
    ck_assert_int_eq(READ("--nonsense", "--help"), ESP_OK);
    ck_assert_int_eq(settings.help, HELP_TEXT);
    ck_assert_int_eq(READ("--help=markdown"), ESP_OK);
    ck_assert_int_eq(settings.help, HELP_MARKDOWN);
    ck_assert_int_eq(READ("--help=config"), ESP_OK);
    ck_assert_int_eq(settings.help, HELP_CONFIG);
    ck_assert_int_eq(READ("--help=me"), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--help is 'me'; give text, markdown or config");
    ck_assert_ptr_nonnull(strstr(help(HELP_TEXT), "\n  --queue-depth NUMBER\n"));
    ck_assert_ptr_nonnull(
        strstr(help(HELP_MARKDOWN), "\n| `--log-format WORD` | `ESPALIER_LOG_FORMAT` | text | text, json |"));
}
END_TEST

START_TEST(test_no_help_prints_a_secret)
{
    setenv("ESPALIER_ADMIN_TOKEN", TOKEN, 1);
    ck_assert_int_eq(READ("--admin-token", TOKEN "2"), ESP_OK);
    for (enum settings_help form = HELP_NONE; form <= HELP_CONFIG; form++)
        ck_assert_ptr_null(strstr(help(form), TOKEN));
}
END_TEST

/* Uncommented, the sample is a file that changes nothing. */
START_TEST(test_the_sample_is_a_file_of_all_defaults)
{
    struct settings before;
    char *to = printed;
    int count = 0;

    ck_assert_int_eq(read_flags(0, NULL), ESP_OK);
    before = settings;
    help(HELP_CONFIG);
    for (char *from = printed; *from; from++) {
        bool commented = from[0] == '#' && from[1] != ' ' && from[1] != '\n';
        count += commented;
        if (!commented)
            *to++ = *from;
    }
    *to = '\0';
    ck_assert_int_eq(read_file_of(printed), ESP_OK);
    ck_assert_int_ge(count, 26);
    ck_assert_str_eq(settings.listen, before.listen);
    ck_assert_str_eq(settings.log_level, before.log_level);
    ck_assert_str_eq(settings.admin_token, before.admin_token);
    ck_assert_ptr_ne(settings.listen, before.listen);
    ck_assert_int_eq(memcmp(&settings.instances, &before.instances,
                            offsetof(struct settings, help) - offsetof(struct settings, instances)),
                     0);
    ck_assert_int_eq(complete(), ESP_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tests = tcase_create("settings");

    tcase_add_checked_fixture(tests, make_file, remove_file);
    tcase_add_test(tests, test_flags);
    tcase_add_test(tests, test_words_of_a_list);
    tcase_add_test(tests, test_precision_is_one_of_three_words);
    tcase_add_test(tests, test_the_environment);
    tcase_add_test(tests, test_flags_beat_the_environment_which_beats_the_file);
    tcase_add_test(tests, test_the_environment_names_the_file_unless_a_flag_does);
    tcase_add_test(tests, test_lines_of_the_file);
    tcase_add_test(tests, test_errors_name_file_and_line);
    tcase_add_test(tests, test_files_that_are_none);
    tcase_add_test(tests, test_a_long_path_leaves_the_error_whole);
    tcase_add_test(tests, test_tokens);
    tcase_add_test(tests, test_token_of_a_file);
    tcase_add_test(tests, test_contradictions);
    tcase_add_test(tests, test_forms_of_help);
    tcase_add_test(tests, test_no_help_prints_a_secret);
    tcase_add_test(tests, test_the_sample_is_a_file_of_all_defaults);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
