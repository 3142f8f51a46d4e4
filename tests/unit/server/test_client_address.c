/* Who the client is: trusted networks, and X-Forwarded-For. */
#include "server/http/client_address.h"
#include "tests/support/support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct trusted trusted;
static struct esp_error err;

static enum esp_status parse(const char *list)
{
    err = (struct esp_error){0};
    return trusted_parse(list, &trusted, &err);
}

/* The client of a peer with up to two headers; in a static buffer. */
static const char *client(const char *peer, const char *first, const char *second)
{
    static char text[INET6_ADDRSTRLEN];
    struct sockaddr_storage socket = {0};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&socket;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&socket;
    struct forwarded forwarded = {0};

    if (inet_pton(AF_INET, peer, &ipv4->sin_addr) == 1)
        socket.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, peer, &ipv6->sin6_addr) == 1)
        socket.ss_family = AF_INET6;
    if (first)
        forwarded_add(&forwarded, first);
    if (second)
        forwarded_add(&forwarded, second);
    client_address(&trusted, (struct sockaddr *)&socket, &forwarded, text);
    return text;
}

START_TEST(test_lists_that_are_right)
{
    static const struct {
        const char *list;
        size_t count;
    } rows[] = {{"", 0},          {"  ", 0},
                {"127.0.0.1", 1}, {"10.0.0.0/8,::1", 2},
                {"::/0", 1},      {" 10.0.0.0/8 ,\t192.168.0.0/16 , fd00::/8 ", 3},
                {"0.0.0.0/0", 1}, {"10.1.2.3/32, 2001:db8::1/128, ::ffff:10.0.0.1", 3}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(parse(rows[i].list) == ESP_OK, "'%s': %s", rows[i].list, err.text);
        ck_assert_uint_eq(trusted.count, rows[i].count);
    }
}
END_TEST

START_TEST(test_lists_that_are_wrong)
{
    static const struct {
        const char *list, *named;
    } rows[] = {
        {"10.0.0.0/33", "'10.0.0.0/33' is no address or network; write 192.0.2.7, 10.0.0.0/8, ::1 or fd00::/8"},
        {"::1,10.0.0.0/", "'10.0.0.0/'"},
        {"10.0.0.0/-8", "'10.0.0.0/-8'"},
        {"10.0.0.0/ 8", "'10.0.0.0/ 8'"},
        {"10.0.0.0/8/8", "'10.0.0.0/8/8'"},
        {"10.0.0.0/4294967304", "'10.0.0.0/4294967304'"}, /* 8 in 32 bits */
        {"fd00::/129", "'fd00::/129'"},
        {"10.0.0", "'10.0.0'"},
        {"10.0.0.256", "'10.0.0.256'"},
        {"[::1]", "'[::1]'"},
        {"127.0.0.1:80", "'127.0.0.1:80'"},
        {"localhost", "'localhost'"},
        {"::1 ::2", "'::1 ::2'"},
        {"::1,", "''"},
        {",::1", "''"},
        {"::ffff:10.0.0.0/104", "'::ffff:10.0.0.0/104'"},
        {"10.1.2.3/8", "'10.1.2.3/8' has bits set behind its mask; write 10.0.0.0/8 for the network or 10.1.2.3 for"},
        {"fd00::1/9", "write fd00::/9 for the network or fd00::1 for"},
        {"0.0.0.1/0", "write 0.0.0.0/0 for the network"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(parse(rows[i].list) == ESP_ERROR_ARGUMENT, "'%s' was taken", rows[i].list);
        ck_assert_msg(strstr(err.text, rows[i].named) != NULL, "'%s': %s", rows[i].list, err.text);
        ck_assert_msg(strncmp(err.text, "trusted-proxies: ", 17) == 0, "%s", err.text);
    }
    ck_assert_int_eq(trusted_parse("10.0.0.0/33", &trusted, NULL), ESP_ERROR_ARGUMENT);
}
END_TEST

START_TEST(test_lists_are_bounded)
{
    char list[(TRUSTED_SUBNETS_MAX + 1) * sizeof "10.0.0.100,"] = "";

    for (int i = 0; i < TRUSTED_SUBNETS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s10.0.0.%d", i ? "," : "", i);
    ck_assert_int_eq(parse(list), ESP_OK);
    ck_assert_uint_eq(trusted.count, TRUSTED_SUBNETS_MAX);
    strcat(list, ",10.0.0.64");
    ck_assert_int_eq(parse(list), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 64"));
}
END_TEST

START_TEST(test_who_is_trusted)
{
    static const struct {
        const char *list, *peer;
        bool trusted;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.0.0.0/8", "::ffff:10.0.0.1", true},
        {"10.0.0.0/8", "::10.0.0.1", false},
        {"::ffff:10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.255", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::9", false},
        {"::/0", "2001:db8::9", true},
        {"::/0", "203.0.113.9", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"fd00::/8,127.0.0.1", "127.0.0.1", true},
        {"", "127.0.0.1", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(parse(rows[i].list), ESP_OK);
        bool believed = !strcmp(client(rows[i].peer, "198.51.100.1", NULL), "198.51.100.1");
        ck_assert_msg(believed == rows[i].trusted, "%s in '%s'", rows[i].peer, rows[i].list);
    }
}
END_TEST

START_TEST(test_forwarded)
{
    static const struct {
        const char *first, *second, *client;
    } rows[] = {
        {NULL, NULL, "10.0.0.1"},
        {"", NULL, "10.0.0.1"},
        {"203.0.113.9", NULL, "203.0.113.9"},
        {"  203.0.113.9\t", NULL, "203.0.113.9"},
        {"198.51.100.1, 203.0.113.9", NULL, "203.0.113.9"},       /* what the client wrote is not believed */
        {"203.0.113.9, 10.0.0.7, 10.0.0.8", NULL, "203.0.113.9"}, /* behind two more proxies */
        {"198.51.100.1,203.0.113.9,10.0.0.8", NULL, "203.0.113.9"},
        {"10.0.0.9, 10.0.0.8", NULL, "10.0.0.9"},   /* all are trusted: the first of them */
        {"203.0.113.9", "10.0.0.7", "203.0.113.9"}, /* two headers are one list */
        {"198.51.100.1", "203.0.113.9", "203.0.113.9"},
        {"198.51.100.1", "203.0.113.9, 10.0.0.7", "203.0.113.9"},
        {"203.0.113.9", "", "203.0.113.9"},
        {"203.0.113.9,, ,10.0.0.7,", NULL, "203.0.113.9"}, /* empty elements are none */
        {"unknown", NULL, "10.0.0.1"},                     /* the last good one */
        {"203.0.113.9, unknown", NULL, "10.0.0.1"},
        {"203.0.113.9, unknown, 10.0.0.7", NULL, "10.0.0.7"},
        {"203.0.113.9", "bad", "10.0.0.1"},
        {"203.0.113.9:4711", NULL, "203.0.113.9"},
        {"[2001:db8::9]:4711", NULL, "2001:db8::9"},
        {"[2001:db8::9]", NULL, "2001:db8::9"},
        {"2001:db8::9", NULL, "2001:db8::9"},
        {"2001:DB8:0:0:0:0:0:9", NULL, "2001:db8::9"},
        {"::ffff:203.0.113.9", NULL, "203.0.113.9"},
        {"203.0.113.9, ::ffff:10.0.0.7", NULL, "203.0.113.9"},
        {"203.0.113.9, [::1]:80", NULL, "203.0.113.9"},
        {"203.0.113.9:", NULL, "10.0.0.1"},
        {"203.0.113.9:x", NULL, "10.0.0.1"},
        {"203.0.113.9:123456", NULL, "10.0.0.1"},
        {"[2001:db8::9", NULL, "10.0.0.1"},
        {"[2001:db8::9]80", NULL, "10.0.0.1"},
        {"[2001:db8::9]:", NULL, "10.0.0.1"},
        {"[]", NULL, "10.0.0.1"},
        {"[", NULL, "10.0.0.1"},
        {":", NULL, "10.0.0.1"},
        {"203.0.113", NULL, "10.0.0.1"},
        {"203.0.113.009", NULL, "10.0.0.1"},
        {"fe80::1%eth0", NULL, "10.0.0.1"},
        {"203.0.113.9 10.0.0.7", NULL, "10.0.0.1"},
        {"203.0.113.9\r\nX: y", NULL, "10.0.0.1"},
        {"2001:db8:1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa", NULL, "10.0.0.1"},
    };

    ck_assert_int_eq(parse("10.0.0.0/8,::1"), ESP_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *found = client("10.0.0.1", rows[i].first, rows[i].second);
        ck_assert_msg(!strcmp(found, rows[i].client), "'%s', '%s': %s", rows[i].first ? rows[i].first : "none",
                      rows[i].second ? rows[i].second : "none", found);
        ck_assert_str_eq(client("192.0.2.1", rows[i].first, rows[i].second), "192.0.2.1"); /* not trusted */
    }
    ck_assert_str_eq(client("::ffff:192.0.2.1", NULL, NULL), "192.0.2.1");
    ck_assert_str_eq(client("no address", "203.0.113.9", NULL), "");
}
END_TEST

START_TEST(test_hops_and_headers_are_bounded)
{
    char list[4096] = "203.0.113.9";
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr = {htonl(0x0a000001)}};
    struct forwarded forwarded = {0};
    char text[INET6_ADDRSTRLEN];

    ck_assert_int_eq(parse("10.0.0.0/8"), ESP_OK);
    for (int i = 1; i < FORWARDED_HOPS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), ",10.0.0.%d", i);
    ck_assert_str_eq(client("10.0.0.1", list, NULL), "203.0.113.9");
    ck_assert_str_eq(client("10.0.0.1", list, "10.0.0.99"), "10.0.0.1"); /* the client is one hop too far */
    forwarded_add(&forwarded, "203.0.113.9");
    for (int i = 0; i < FORWARDED_HEADERS_MAX; i++)
        forwarded_add(&forwarded, i ? "10.0.0.2" : "10.0.0.3");
    ck_assert_uint_eq(forwarded.count, FORWARDED_HEADERS_MAX);
    client_address(&trusted, (struct sockaddr *)&peer, &forwarded, text);
    ck_assert_str_eq(text, "10.0.0.3");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client_address");
    TCase *tests = tcase_create("client_address");

    tcase_add_test(tests, test_lists_that_are_right);
    tcase_add_test(tests, test_lists_that_are_wrong);
    tcase_add_test(tests, test_lists_are_bounded);
    tcase_add_test(tests, test_who_is_trusted);
    tcase_add_test(tests, test_forwarded);
    tcase_add_test(tests, test_hops_and_headers_are_bounded);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
