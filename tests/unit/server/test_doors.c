/* Who may come in: tokens, their file and how they are found; and the origins of CORS. */
#include "server/http/cors.h"
#include "server/tokens.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/espalier-tokens-XXXXXX";
static struct settings settings;
static struct tokens *tokens;
static struct esp_error err;

static void make_file(void)
{
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    settings = (struct settings){.tokens_file = path, .admin_token = "", .admin_token_file = ""};
    err = (struct esp_error){0};
}

static void remove_file(void)
{
    tokens_close(&tokens);
    ck_assert_ptr_null(tokens);
    unlink(path);
    strcpy(path + strlen(path) - 6, "XXXXXX");
}

static void write_file(const char *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

static enum esp_status open_with(const char *text)
{
    write_file(text, strlen(text));
    tokens_close(&tokens);
    err = (struct esp_error){0};
    return tokens_open(&tokens, &settings, &err);
}

static void assert_found(const char *token, enum token_kind kind, const char *name)
{
    char found[TOKEN_NAME_MAX + 1];

    ck_assert_msg(tokens_find(tokens, token, found) == kind, "'%s' is another kind of token", token);
    ck_assert_str_eq(found, name);
}

/* ---- tokens ---- */

START_TEST(test_lines)
{
    ck_assert_int_eq(open_with("# comment\n"
                               "\n"
                               "  first-token-of-all app\r\n"
                               "\tsecond-token-of-all\t\tn.a-m_e9 \n"
                               "   # another\n"
                               "third-token-of-all"),
                     ESP_OK);
    ck_assert_uint_eq(tokens_count(tokens), 3);
    ck_assert(!tokens_has_admin(tokens));
    assert_found("first-token-of-all", TOKEN_CLIENT, "app");
    assert_found("second-token-of-all", TOKEN_CLIENT, "n.a-m_e9");
    assert_found("third-token-of-all", TOKEN_CLIENT, "line-6");
    assert_found("", TOKEN_UNKNOWN, "");
    assert_found("app", TOKEN_UNKNOWN, "");
    assert_found("# comment", TOKEN_UNKNOWN, "");
}
END_TEST

/* One bit, one byte more, one less: none of them is the token, wherever in the file it stands. */
START_TEST(test_what_is_nearly_a_token)
{
    enum { COUNT = 300, LENGTH = 16 };
    char text[COUNT * 32], token[64], name[TOKEN_NAME_MAX + 1];
    size_t size = 0;

    for (int i = 0; i < COUNT; i++)
        size += (size_t)sprintf(text + size, "token-%010d n%d\n", i, i);
    ck_assert_int_eq(open_with(text), ESP_OK);
    for (int i = 0; i < COUNT; i++) {
        sprintf(token, "token-%010d", i);
        sprintf(name, "n%d", i);
        assert_found(token, TOKEN_CLIENT, name);
        for (int at = 0; at < LENGTH; at++) {
            token[at] = (char)(token[at] ^ 0x80);
            assert_found(token, TOKEN_UNKNOWN, "");
            token[at] = (char)(token[at] ^ 0x80);
        }
        strcat(token, "0");
        assert_found(token, TOKEN_UNKNOWN, "");
        token[LENGTH - 1] = '\0';
        assert_found(token, TOKEN_UNKNOWN, "");
    }
}
END_TEST

START_TEST(test_admin)
{
    settings.admin_token = "token-of-the-admin";
    ck_assert_int_eq(open_with("token-of-a-client\n"), ESP_OK);
    ck_assert(tokens_has_admin(tokens) && tokens_count(tokens) == 1);
    assert_found("token-of-the-admin", TOKEN_ADMIN, "admin");
    assert_found("token-of-a-client", TOKEN_CLIENT, "line-1");
    ck_assert_int_eq(open_with("token-of-the-admin\n"), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "has the admin token in line 1"));
    settings.tokens_file = "";
    ck_assert_int_eq(open_with(""), ESP_OK);
    ck_assert(tokens_has_admin(tokens) && tokens_count(tokens) == 0);
}
END_TEST

START_TEST(test_reading_again)
{
    ck_assert_int_eq(open_with("token-of-a-client\n"), ESP_OK);
    write_file("token-of-another\n", 17);
    ck_assert_int_eq(tokens_reload(tokens, &err), ESP_OK);
    assert_found("token-of-a-client", TOKEN_UNKNOWN, "");
    assert_found("token-of-another", TOKEN_CLIENT, "line-1");
    write_file("token-of-a-client\n\0\n", 20);
    ck_assert_int_eq(tokens_reload(tokens, &err), ESP_ERROR_ARGUMENT);
    assert_found("token-of-another", TOKEN_CLIENT, "line-1");
    unlink(path);
    ck_assert_int_eq(tokens_reload(tokens, &err), ESP_ERROR_IO);
    assert_found("token-of-another", TOKEN_CLIENT, "line-1");
}
END_TEST

START_TEST(test_too_many)
{
    char *text = malloc((TOKENS_MAX + 1) * 32);
    size_t size = 0;

    for (int i = 0; i < TOKENS_MAX; i++)
        size += (size_t)sprintf(text + size, "token-%010d\n", i);
    settings.admin_token = "token-of-the-admin";
    ck_assert_int_eq(open_with(text), ESP_OK);
    assert_found("token-0000004095", TOKEN_CLIENT, "line-4096");
    assert_found("token-of-the-admin", TOKEN_ADMIN, "admin");
    strcat(text, "token-of-too-many\n");
    ck_assert_int_eq(open_with(text), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, ":4097: there are more than 4096 tokens"));
    free(text);
}
END_TEST

/* ---- origins ---- */

static struct cors cors;
static struct request request;
static struct response response;

static const char *header(const char *name)
{
    for (size_t i = 0; i < response.header_count; i++)
        if (!strcmp(response.headers[i].name, name))
            return response.headers[i].value;
    return "";
}

static void answer(const char *method, const char *origin, const char *wanted)
{
    request = (struct request){.method = method, .origin = origin, .wanted_method = wanted};
    response_clear(&response);
    response_static(&response, 204, NULL, "", 0);
    response_header(&response, "Allow", "GET, HEAD, OPTIONS");
    cors_answer(&cors, &request, &response);
}

START_TEST(test_origins)
{
    ck_assert_int_eq(cors_parse(" https://a.example ,http://localhost:3000,app://x", &cors, &err), ESP_OK);
    ck_assert(!cors.any && cors.count == 3);
    static const char *const allowed[] = {"https://a.example", "http://localhost:3000", "app://x"};
    static const char *const others[] = {
        "", "null", "https://a.example:443", "https://a.exampl", "https://a.example.b", "http://a.example", "*"};

    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        answer("GET", allowed[i], "");
        ck_assert_str_eq(header("Access-Control-Allow-Origin"), allowed[i]);
        ck_assert_str_eq(header("Vary"), "Origin");
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        answer("GET", others[i], "");
        ck_assert_str_eq(header("Access-Control-Allow-Origin"), "");
        ck_assert_str_eq(header("Vary"), "Origin");
    }
}
END_TEST

START_TEST(test_preflights)
{
    ck_assert_int_eq(cors_parse("https://a.example", &cors, &err), ESP_OK);
    answer("OPTIONS", "https://a.example", "GET");
    ck_assert_str_eq(header("Access-Control-Allow-Methods"), "GET, HEAD, OPTIONS");
    ck_assert_str_ne(header("Access-Control-Max-Age"), "");
    answer("OPTIONS", "https://a.example", "");
    ck_assert_str_eq(header("Access-Control-Allow-Methods"), "");
    answer("OPTIONS", "https://b.example", "GET");
    ck_assert_str_eq(header("Access-Control-Allow-Methods"), "");
}
END_TEST

START_TEST(test_any_and_none)
{
    ck_assert_int_eq(cors_parse("*", &cors, &err), ESP_OK);
    answer("GET", "", "");
    ck_assert_str_eq(header("Access-Control-Allow-Origin"), "*");
    ck_assert_str_eq(header("Vary"), "");
    ck_assert_int_eq(cors_parse("", &cors, &err), ESP_OK);
    answer("GET", "https://a.example", "");
    ck_assert_uint_eq(response.header_count, 1);
    cors_answer(NULL, &request, &response);
    ck_assert_uint_eq(response.header_count, 1);
}
END_TEST

START_TEST(test_bad_origins)
{
    static const char *const bad[] = {
        "a.example", "https://",    "://a",        "https://a/",  "https://A",  "https://a b", "https://a,,https://b",
        ",",         "https://u@a", "https://a?b", "*,https://a", "https://*.a"};
    char many[CORS_ORIGINS_MAX * 12 + 16] = "";

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct esp_error){0};
        ck_assert_msg(cors_parse(bad[i], &cors, &err) == ESP_ERROR_ARGUMENT, "'%s' is taken", bad[i]);
        ck_assert_ptr_nonnull(strstr(err.text, "cors-origins names"));
    }
    for (int i = 0; i < CORS_ORIGINS_MAX; i++)
        sprintf(many + strlen(many), "http://a%d,", i % 10);
    ck_assert_int_eq(cors_parse(many, &cors, &err), ESP_OK);
    strcat(many, "http://b");
    ck_assert_int_eq(cors_parse(many, &cors, &err), ESP_ERROR_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doors");
    TCase *found = tcase_create("tokens"), *origins = tcase_create("origins");

    tcase_add_checked_fixture(found, make_file, remove_file);
    tcase_add_test(found, test_lines);
    tcase_add_test(found, test_what_is_nearly_a_token);
    tcase_add_test(found, test_admin);
    tcase_add_test(found, test_reading_again);
    tcase_add_test(found, test_too_many);
    tcase_add_test(origins, test_origins);
    tcase_add_test(origins, test_preflights);
    tcase_add_test(origins, test_any_and_none);
    tcase_add_test(origins, test_bad_origins);
    suite_add_tcase(suite, found);
    suite_add_tcase(suite, origins);
    return run_suite(suite);
}
