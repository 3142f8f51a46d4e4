/* The rooms of server/work that need neither HTTP nor a network: bell, queue, sweep and pace. */
#include "server/clock.h"
#include "server/work/pace.h"
#include "server/work/queue.h"
#include "server/work/sweep.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- queue ---- */

static struct queue *make_queue(size_t items, struct bell *bell)
{
    return queue_create(&(struct queue_limits){items, UINT64_MAX}, bell);
}

static struct queue_item *take_one(struct queue *queue)
{
    struct queue_item *item;
    return queue_take(queue, &item, 1, 1) ? item : NULL;
}

START_TEST(test_queue_is_bounded_and_fair)
{
    static struct queue_item items[5];
    struct bell *bell = bell_create();
    struct queue *queue = make_queue(3, bell);

    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(queue_push(queue, &items[i]), QUEUE_OK);
        ck_assert_int_eq(queue_room(queue), QUEUE_FULL);
        ck_assert_int_eq(queue_push(queue, &items[3]), QUEUE_FULL);
        ck_assert_uint_eq(queue_length(queue), 3);
        ck_assert_ptr_eq(take_one(queue), &items[0]);
        ck_assert_int_eq(queue_room(queue), QUEUE_OK);
        ck_assert_int_eq(queue_push(queue, &items[4]), QUEUE_OK);
        ck_assert_ptr_eq(take_one(queue), &items[1]);
        ck_assert_ptr_eq(take_one(queue), &items[2]);
        ck_assert_ptr_eq(take_one(queue), &items[4]);
        ck_assert_ptr_null(take_one(queue));
    }
    queue_push(queue, &items[0]);
    queue_close(queue);
    ck_assert_int_eq(queue_push(queue, &items[1]), QUEUE_CLOSED);
    ck_assert(!queue_over(queue));
    ck_assert_ptr_eq(take_one(queue), &items[0]); /* what was taken is still handed out */
    ck_assert(queue_over(queue));
    queue_destroy(&queue);
    ck_assert_ptr_null(queue);
    bell_destroy(&bell);
    ck_assert_ptr_null(bell);
}
END_TEST

START_TEST(test_queue_is_bounded_in_macs)
{
    static struct queue_item whole[3] = {{.macs = 70}, {.macs = 70}, {.macs = 170}}, small[8];
    struct bell *bell = bell_create();
    struct queue *queue = queue_create(&(struct queue_limits){100, 140}, bell);

    for (int i = 0; i < 8; i++)
        small[i].macs = 10;
    ck_assert_int_eq(queue_push(queue, &whole[0]), QUEUE_OK);
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(queue_push(queue, &small[i]), QUEUE_OK);
    ck_assert_uint_eq(queue_macs(queue), 140);
    ck_assert_int_eq(queue_room(queue), QUEUE_FULL_OF_MACS);
    ck_assert_int_eq(queue_push(queue, &small[7]), QUEUE_FULL_OF_MACS);
    ck_assert_ptr_eq(take_one(queue), &whole[0]);
    ck_assert_int_eq(queue_room(queue), QUEUE_OK);
    ck_assert_int_eq(queue_push(queue, &whole[2]), QUEUE_FULL_OF_MACS);
    ck_assert_int_eq(queue_push(queue, &whole[1]), QUEUE_OK);
    while (take_one(queue))
        ;
    ck_assert_uint_eq(queue_macs(queue), 0);
    ck_assert_int_eq(queue_push(queue, &whole[2]), QUEUE_OK); /* nothing is too large for an empty queue */
    ck_assert_int_eq(queue_push(queue, &small[0]), QUEUE_FULL_OF_MACS);
    queue_destroy(&queue);
    bell_destroy(&bell);
}
END_TEST

START_TEST(test_queue_is_shared_out)
{
    static const struct {
        size_t waiting, most, takers, taken;
    } rows[] = {{0, 8, 1, 0}, {1, 8, 1, 1}, {1, 8, 4, 1}, {7, 8, 1, 7},  {7, 8, 2, 4},
                {7, 8, 3, 3}, {7, 8, 7, 1}, {9, 8, 1, 8}, {20, 8, 2, 8}, {9, 1, 1, 1}};
    static struct queue_item items[20];
    struct bell *bell = bell_create();

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct queue *queue = make_queue(20, bell);
        struct queue_item *taken[20];
        for (size_t n = 0; n < rows[i].waiting; n++)
            queue_push(queue, &items[n]);
        ck_assert_uint_eq(queue_take(queue, taken, rows[i].most, rows[i].takers), rows[i].taken);
        ck_assert_uint_eq(queue_length(queue), rows[i].waiting - rows[i].taken);
        for (size_t n = 0; n < rows[i].taken; n++)
            ck_assert_ptr_eq(taken[n], &items[n]);
        queue_destroy(&queue);
    }
    bell_destroy(&bell);
}
END_TEST

/* Those with several images are taken together up to `most` images, but at least one of them. */
START_TEST(test_queue_counts_images)
{
    static struct queue_item items[5] = {{.images = 6}, {.images = 2}, {.images = 1}, {.images = 20}, {.images = 1}};
    struct bell *bell = bell_create();
    struct queue *queue = make_queue(5, bell);
    struct queue_item *taken[5];

    for (int i = 0; i < 5; i++)
        queue_push(queue, &items[i]);
    ck_assert_uint_eq(queue_take(queue, taken, 8, 1), 2);
    ck_assert(taken[0] == &items[0] && taken[1] == &items[1]);
    ck_assert_uint_eq(queue_take(queue, taken, 8, 1), 1);
    ck_assert(taken[0] == &items[2]);
    ck_assert_uint_eq(queue_take(queue, taken, 8, 1), 1);
    ck_assert(taken[0] == &items[3]);
    ck_assert_uint_eq(queue_take(queue, taken, 8, 1), 1);
    ck_assert(taken[0] == &items[4]);
    queue_destroy(&queue);
    bell_destroy(&bell);
}
END_TEST

/* What is taken together is of one kind; the others keep their turn. */
START_TEST(test_queue_keeps_kinds_apart)
{
    static const char *const kinds[] = {"a", "b"};
    static struct queue_item items[6];
    struct bell *bell = bell_create();
    struct queue *queue = make_queue(6, bell);
    struct queue_item *taken[6];

    for (int i = 0; i < 6; i++) {
        items[i].kind = kinds[i % 2];
        queue_push(queue, &items[i]);
    }
    ck_assert_uint_eq(queue_take(queue, taken, 2, 1), 2);
    ck_assert(taken[0] == &items[0] && taken[1] == &items[2]);
    ck_assert_uint_eq(queue_take(queue, taken, 6, 1), 3);
    ck_assert(taken[0] == &items[1] && taken[1] == &items[3] && taken[2] == &items[5]);
    ck_assert_uint_eq(queue_take(queue, taken, 6, 1), 1);
    ck_assert(taken[0] == &items[4]);
    queue_destroy(&queue);
    bell_destroy(&bell);
}
END_TEST

START_TEST(test_queue_gives_up_who_still_waits)
{
    static struct queue_item items[3] = {{.macs = 1}, {.macs = 2}, {.macs = 4}};
    struct bell *bell = bell_create();
    struct queue *queue = make_queue(3, bell);
    struct queue_entry entries[3];

    for (int i = 0; i < 3; i++)
        queue_push(queue, &items[i]);
    ck_assert_uint_eq(queue_list(queue, entries), 3);
    ck_assert(queue_remove(queue, &entries[1]));
    ck_assert(!queue_remove(queue, &entries[1]));
    ck_assert_uint_eq(queue_macs(queue), 5);
    ck_assert_ptr_eq(take_one(queue), &items[0]);
    ck_assert(!queue_remove(queue, &entries[0])); /* taken meanwhile */
    queue_push(queue, &items[0]);
    ck_assert(!queue_remove(queue, &entries[0])); /* the same item, but another request */
    ck_assert_ptr_eq(take_one(queue), &items[2]);
    ck_assert_ptr_eq(take_one(queue), &items[0]);
    queue_destroy(&queue);
    bell_destroy(&bell);
}
END_TEST

enum { PRODUCED = 20000, CONSUMERS = 3, AT_ONCE = 4 };
static struct queue_item produced[PRODUCED];
static int seen[PRODUCED];

/* A queue and the bell that it rings. */
struct works {
    struct queue *queue;
    struct bell *bell;
};

static void count_seen(struct queue_item *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        __atomic_fetch_add(&seen[items[i] - produced], 1, __ATOMIC_RELAXED);
}

/* Never spins: an item that was not rung for would stay, and the test would hang. */
static void *consume(void *context)
{
    struct works *works = context;
    struct queue_item *items[AT_ONCE];

    while (!queue_over(works->queue)) {
        unsigned heard = bell_listen(works->bell);
        size_t count = queue_take(works->queue, items, AT_ONCE, CONSUMERS);
        count_seen(items, count);
        if (count == 0 && !queue_over(works->queue))
            bell_sleep(works->bell, heard);
    }
    return NULL;
}

/* Takes some of them away, as a sweep does. */
static void *pick(void *context)
{
    struct works *works = context;
    struct queue_entry entries[16];

    while (!queue_over(works->queue)) {
        size_t count = queue_list(works->queue, entries);
        if (count > 0 && queue_remove(works->queue, &entries[count / 2]))
            count_seen(&entries[count / 2].item, 1);
    }
    return NULL;
}

START_TEST(test_queue_hands_each_item_out_once)
{
    struct bell *bell = bell_create();
    struct works works = {make_queue(16, bell), bell};
    pthread_t threads[CONSUMERS + 1];

    pthread_create(&threads[CONSUMERS], NULL, pick, &works);
    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&threads[i], NULL, consume, &works);
    for (int i = 0; i < PRODUCED; i++)
        while (queue_push(works.queue, &produced[i]) == QUEUE_FULL)
            ;
    queue_close(works.queue);
    for (int i = 0; i < CONSUMERS + 1; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PRODUCED; i++)
        ck_assert_int_eq(seen[i], 1);
    queue_destroy(&works.queue);
    bell_destroy(&works.bell);
}
END_TEST

/* ---- bell ---- */

START_TEST(test_bell_that_rang_lets_nobody_sleep)
{
    struct bell *bell = bell_create();
    unsigned heard = bell_listen(bell);

    bell_ring(bell, 1);
    bell_sleep(bell, heard); /* or the test hangs */
    bell_destroy(&bell);
}
END_TEST

static void *sleep_once(void *bell)
{
    bell_sleep(bell, bell_listen(bell));
    return NULL;
}

START_TEST(test_bell_wakes_everyone)
{
    struct bell *bell = bell_create();
    pthread_t threads[CONSUMERS];

    for (int i = 0; i < CONSUMERS; i++)
        pthread_create(&threads[i], NULL, sleep_once, bell);
    for (int i = 0; i < CONSUMERS; i++) /* one may listen only after a ring, so ring until it is gone */
        while (pthread_tryjoin_np(threads[i], NULL) != 0)
            bell_ring(bell, CONSUMERS);
    bell_destroy(&bell);
}
END_TEST

/* ---- sweep ---- */

static struct {
    struct queue_item *item;
    enum sweep_verdict why;
} swept[4];
static size_t swept_count;

static void remember(void *context, struct queue_item *item, enum sweep_verdict why)
{
    (void)context;
    swept[swept_count].item = item;
    swept[swept_count++].why = why;
}

START_TEST(test_sweep_takes_the_late_and_the_gone)
{
    static struct queue_item items[4];
    struct bell *bell = bell_create();
    struct queue *queue = make_queue(4, bell);
    struct sweep *sweep;
    int gone[2], half[2], there[2];

    ck_assert_int_eq(sweep_create(&sweep, queue, remember, NULL, NULL), ESP_OK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, gone);
    socketpair(AF_UNIX, SOCK_STREAM, 0, half);
    socketpair(AF_UNIX, SOCK_STREAM, 0, there);
    items[0] = (struct queue_item){.deadline_ns = UINT64_MAX, .socket = gone[0]};
    items[1] = (struct queue_item){.deadline_ns = UINT64_MAX, .socket = half[0]};
    items[2] = (struct queue_item){.deadline_ns = UINT64_MAX, .socket = there[0]};
    items[3] = (struct queue_item){.deadline_ns = clock_now(), .socket = -1};
    sweep_once(sweep); /* nothing waits */
    for (int i = 0; i < 3; i++)
        queue_push(queue, &items[i]);
    sweep_once(sweep);
    ck_assert_uint_eq(swept_count, 0);
    queue_push(queue, &items[3]);
    close(gone[1]);
    shutdown(half[1], SHUT_WR);
    (void)!write(there[1], "x", 1); /* to speak is not to go */
    sweep_once(sweep);
    ck_assert_uint_eq(swept_count, 3);
    ck_assert(swept[0].item == &items[0] && swept[0].why == SWEEP_GONE);
    ck_assert(swept[1].item == &items[1] && swept[1].why == SWEEP_GONE);
    ck_assert(swept[2].item == &items[3] && swept[2].why == SWEEP_LATE);
    ck_assert_uint_eq(queue_length(queue), 1);
    sweep_destroy(&sweep);
    queue_destroy(&queue);
    bell_destroy(&bell);
}
END_TEST

/* ---- pace ---- */

START_TEST(test_pace_tells_how_long)
{
    struct pace pace;

    pace_open(&pace);
    ck_assert_double_eq(pace_seconds(&pace, 100, 1), 0); /* nothing is known */
    pace_add(&pace, 1000, 1000000000);
    ck_assert_double_eq_tol(pace_seconds(&pace, 500, 1), 0.5, 1e-9);
    ck_assert_double_eq_tol(pace_seconds(&pace, 500, 2), 0.25, 1e-9);
    ck_assert_double_eq(pace_seconds(&pace, 0, 2), 0);
    pace_add(&pace, 0, 1000000000); /* an instance that helps takes time, too */
    ck_assert_double_gt(pace_seconds(&pace, 500, 1), 0.9);
    pace_close(&pace);
}
END_TEST

/* What it was like a while ago is forgotten: after four times PACE_SECONDS at a third of the speed, the error is small.
 */
START_TEST(test_pace_follows)
{
    struct pace pace;

    pace_open(&pace);
    for (int i = 0; i < 100; i++)
        pace_add(&pace, 300, 100000000);
    ck_assert_double_eq_tol(pace_seconds(&pace, 3000, 1), 1, 1e-6);
    for (int i = 0; i < (int)(4 * PACE_SECONDS * 10); i++)
        pace_add(&pace, 100, 100000000);
    ck_assert_double_eq_tol(pace_seconds(&pace, 3000, 1), 3, 0.15);
    pace_close(&pace);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work");
    TCase *tests = tcase_create("work");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_queue_is_bounded_and_fair);
    tcase_add_test(tests, test_queue_is_bounded_in_macs);
    tcase_add_test(tests, test_queue_is_shared_out);
    tcase_add_test(tests, test_queue_keeps_kinds_apart);
    tcase_add_test(tests, test_queue_counts_images);
    tcase_add_test(tests, test_queue_gives_up_who_still_waits);
    tcase_add_test(tests, test_queue_hands_each_item_out_once);
    tcase_add_test(tests, test_bell_that_rang_lets_nobody_sleep);
    tcase_add_test(tests, test_bell_wakes_everyone);
    tcase_add_test(tests, test_sweep_takes_the_late_and_the_gone);
    tcase_add_test(tests, test_pace_tells_how_long);
    tcase_add_test(tests, test_pace_follows);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
