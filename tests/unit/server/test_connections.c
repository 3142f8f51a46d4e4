/* The table of connections, with sockets that nobody serves, and the budget of bodies. */
#include "server/clock.h"
#include "server/http/body.h"
#include "server/http/connections.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 3, REST_MS = 400 /* after it a connection is idle for sure */ };

struct pair {
    int ours, theirs;
};

static struct connections *table(const struct connection_limits *limits)
{
    struct connections *connections;
    struct esp_error err = {0};

    ck_assert_msg(connections_create(&connections, limits, &err) == ESP_OK, "%s", err.text);
    return connections;
}

static struct connections *patient_table(void)
{
    const struct connection_limits limits = {
        .most = MOST, .header_ms = 60000, .body_ms = 60000, .answer_ms = 60000, .idle_ms = 60000};
    return table(&limits);
}

static struct pair open_pair(struct connections *connections, enum connection_stage stage)
{
    int sockets[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets), 0);
    ck_assert(connections_make_room(connections) && connections_add(connections, sockets[0]));
    connections_started(connections, sockets[0]);
    connections_enter(connections, sockets[0], stage);
    return (struct pair){sockets[0], sockets[1]};
}

/* What the library does with a socket that was shut down, or where the client is gone. */
static void close_pair(struct connections *connections, struct pair pair)
{
    connections_gone(connections, pair.ours);
    close(pair.ours);
    close(pair.theirs);
}

static bool is_shut(struct pair pair)
{
    char byte;
    return recv(pair.theirs, &byte, 1, 0) == 0;
}

START_TEST(test_each_stage_has_its_deadline)
{
    const struct connection_limits limits = {
        .most = 10, .header_ms = 20, .body_ms = 20, .answer_ms = 20, .idle_ms = 20};
    struct connections *connections = table(&limits);
    struct pair pairs[CONNECTION_CLOSING];

    for (int stage = CONNECTION_IDLE; stage < CONNECTION_CLOSING; stage++)
        pairs[stage] = open_pair(connections, stage);
    connections_watch(connections);
    ck_assert_uint_eq(connections_count(connections).late_bodies, 0);
    clock_sleep_ms(100);
    connections_watch(connections);
    struct connection_counts counts = connections_count(connections);
    ck_assert(counts.late_headers == 2 && counts.late_bodies == 1 && counts.late_answers == 1);
    for (int stage = CONNECTION_IDLE; stage < CONNECTION_CLOSING; stage++) {
        ck_assert_int_eq(is_shut(pairs[stage]), stage != CONNECTION_WORK);
        ck_assert_int_eq(connections_late(connections, pairs[stage].ours), stage != CONNECTION_WORK);
        connections_enter(connections, pairs[stage].ours, CONNECTION_ANSWER); /* too late for that */
        close_pair(connections, pairs[stage]);
    }
    ck_assert_uint_eq(connections_count(connections).open, 0);
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_a_stage_begins_once)
{
    const struct connection_limits limits = {
        .most = 1, .header_ms = 300, .body_ms = 60000, .answer_ms = 60000, .idle_ms = 60000};
    struct connections *connections = table(&limits);
    struct pair pair = open_pair(connections, CONNECTION_HEADER);
    uint64_t begin = clock_now();

    while (!is_shut(pair)) {
        ck_assert_uint_lt(clock_now() - begin, 10000000000u);
        connections_enter(connections, pair.ours, CONNECTION_HEADER);
        connections_watch(connections);
        clock_sleep_ms(10);
    }
    close_pair(connections, pair);
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_the_longest_idle_makes_room)
{
    struct connections *connections = patient_table();
    struct pair busy = open_pair(connections, CONNECTION_WORK), first = open_pair(connections, CONNECTION_IDLE),
                second = open_pair(connections, CONNECTION_IDLE);

    clock_sleep_ms(REST_MS);
    connections_enter(connections, first.ours, CONNECTION_HEADER);
    connections_enter(connections, first.ours, CONNECTION_IDLE);
    connections_evict(connections);
    ck_assert(is_shut(second) && !is_shut(first) && !is_shut(busy));
    connections_evict(connections); /* the other one is not idle for long enough */
    ck_assert(!is_shut(first));
    close_pair(connections, second);
    struct pair third = open_pair(connections, CONNECTION_WORK); /* there is room */
    ck_assert_uint_eq(connections_count(connections).evicted, 1);
    close_pair(connections, first);
    close_pair(connections, third);
    close_pair(connections, busy);
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_sockets_with_large_numbers)
{
    struct connections *connections = patient_table();
    int ours = fcntl(STDOUT_FILENO, F_DUPFD, 900);

    ck_assert_int_ge(ours, 900);
    ck_assert(connections_add(connections, ours));
    connections_started(connections, ours);
    ck_assert_uint_eq(connections_count(connections).open, 1);
    ck_assert(connections_add(connections, ours)); /* the library has closed it without a word */
    ck_assert_uint_eq(connections_count(connections).open, 1);
    connections_started(connections, ours);
    connections_gone(connections, ours);
    ck_assert_uint_eq(connections_count(connections).open, 0);
    close(ours);
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_calm)
{
    struct connections *connections = patient_table();

    ck_assert(!connections_wait_calm(connections, 0)); /* somebody may still come */
    connections_close_doors(connections);
    ck_assert(connections_wait_calm(connections, 0));
    struct pair pair = open_pair(connections, CONNECTION_WORK);
    ck_assert(!connections_wait_calm(connections, 20));
    connections_enter(connections, pair.ours, CONNECTION_IDLE);
    ck_assert(!connections_wait_calm(connections, 0)); /* he may just be sending again */
    ck_assert(connections_wait_calm(connections, 60000));
    close_pair(connections, pair);
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_the_end_wakes_everybody)
{
    struct connections *connections = patient_table();

    connections_end(connections);
    ck_assert(!connections_rest(connections, 1));
    ck_assert(!connections_make_room(connections));
    connections_destroy(&connections);
}
END_TEST

START_TEST(test_the_budget_is_shared)
{
    struct budget budget = {.limit = 100};
    size_t first = 0, second = 0;

    ck_assert(budget_hold(&budget, &first, 60) && first == 60);
    ck_assert(!budget_hold(&budget, &second, 41) && second == 0);
    ck_assert(budget_fits(&budget, 40) && !budget_fits(&budget, 41) && !budget_fits(&budget, SIZE_MAX));
    ck_assert(budget_hold(&budget, &second, 40) && !budget_hold(&budget, &first, 61));
    ck_assert(budget_hold(&budget, &first, 50) && budget_hold(&budget, &second, 50));
    ck_assert_uint_eq(budget.held, 100);
    ck_assert(budget_hold(&budget, &first, 0));
    ck_assert(budget_hold(&budget, &second, 1000)); /* who is alone gets what he wants */
    ck_assert(!budget_fits(&budget, 1) && !budget_hold(&budget, &first, 1));
    ck_assert(budget_hold(&budget, &second, 0));
    ck_assert_uint_eq(budget.held, 0);
}
END_TEST

START_TEST(test_a_body_holds_what_it_takes)
{
    static const char piece[3000];
    struct body_limits limits = {.most = 8000, .budget = {.limit = 8192}};
    struct body body = {0}, other = {0};
    struct response response = {0};

    ck_assert_int_eq(body_take(&body, BODY_BYTES, &limits, piece, sizeof piece, &response), BODY_TAKEN);
    ck_assert_uint_eq(limits.budget.held, 4096);
    ck_assert_int_eq(body_take(&other, BODY_BYTES, &limits, piece, sizeof piece, &response), BODY_TAKEN);
    ck_assert_int_eq(body_take(&body, BODY_BYTES, &limits, piece, sizeof piece, &response), BODY_NO_ROOM);
    body_drop(&body, &limits);
    ck_assert_uint_eq(limits.budget.held, 4096);
    ck_assert_int_eq(body_take(&body, BODY_DROP, &limits, piece, sizeof piece, &response), BODY_TAKEN);
    ck_assert_uint_eq(body.received, 3 * sizeof piece);
    ck_assert_int_eq(body_take(&other, BODY_BYTES, &limits, piece, sizeof piece, &response), BODY_TAKEN);
    ck_assert_int_eq(body_take(&other, BODY_BYTES, &limits, piece, sizeof piece, &response), BODY_REFUSED);
    ck_assert_uint_eq(response.status, 413);
    body_drop(&other, &limits);
    ck_assert_uint_eq(limits.budget.held, 0);
    response_clear(&response);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("connections");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 60);
    tcase_add_test(all, test_each_stage_has_its_deadline);
    tcase_add_test(all, test_a_stage_begins_once);
    tcase_add_test(all, test_the_longest_idle_makes_room);
    tcase_add_test(all, test_sockets_with_large_numbers);
    tcase_add_test(all, test_calm);
    tcase_add_test(all, test_the_end_wakes_everybody);
    tcase_add_test(all, test_the_budget_is_shared);
    tcase_add_test(all, test_a_body_holds_what_it_takes);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
