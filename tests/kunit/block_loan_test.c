// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loans in the block layer: which bios get to a driver, what is merged with what, and
 * what stacked devices make of the feature.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/cc_loan.h>
#include <linux/err.h>
#include <linux/mm.h>

#include "../../../../block/blk.h"
#include "../../../../block/elevator.h"
#include "cc_test.h"

struct block_test {
	struct gendisk *disk;
	struct page *loan;
	struct page *page;
	struct bio_vec vec[2];
	struct bio bio;
};

/* What the driver has been given. */
static blk_opf_t given;

static void submit(struct bio *bio)
{
	given = bio->bi_opf;
	bio_endio(bio);
}

static const struct block_device_operations fops = { .submit_bio = submit };

static int block_init(struct kunit *test)
{
	struct block_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	struct queue_limits lim = { .features = BLK_FEAT_CC_SHARED };

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	cc_fake_begin(test);
	cc_test_start(test);
	cc_test_lend(test);
	t->loan = cc_loan_alloc(2 * PAGE_SIZE, NUMA_NO_NODE);
	t->page = alloc_pages(GFP_KERNEL, 1);
	t->disk = blk_alloc_disk(&lim, NUMA_NO_NODE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->disk);
	KUNIT_ASSERT_NOT_NULL(test, t->loan);
	KUNIT_ASSERT_NOT_NULL(test, t->page);
	t->disk->fops = &fops;
	/* What add_disk() would do. */
	bdev_set_flag(t->disk->part0, BD_HAS_SUBMIT_BIO);
	set_capacity(t->disk, 1024);
	return 0;
}

static void block_exit(struct kunit *test)
{
	struct block_test *t = test->priv;

	if (t && !IS_ERR_OR_NULL(t->disk))
		put_disk(t->disk);
	if (t && t->page)
		__free_pages(t->page, 1);
	if (t && t->loan)
		cc_loan_free(t->loan, 2 * PAGE_SIZE);
	cc_test_stop(test);
	cc_fake_end(test);
}

static void end_io(struct bio *bio)
{
}

static struct bio *make_bio(struct block_test *t, struct page *page, blk_opf_t opf)
{
	bio_init(&t->bio, t->disk->part0, t->vec, ARRAY_SIZE(t->vec), opf);
	__bio_add_page(&t->bio, page, 2 * PAGE_SIZE, 0);
	t->bio.bi_end_io = end_io;
	return &t->bio;
}

/* The status that a bio ends with; and whether the driver has seen it. */
static blk_status_t status_of(struct kunit *test, struct bio *bio)
{
	blk_status_t status;

	given = 0;
	submit_bio_noacct(bio);
	status = bio->bi_status;
	KUNIT_EXPECT_EQ(test, !status, !!(given & REQ_CC_SHARED));
	bio_uninit(bio);
	return status;
}

/* Gate: to a driver that says so, and nowhere else. */
static void block_feature(struct kunit *test)
{
	struct block_test *t = test->priv;
	struct queue_limits *lim = &t->disk->queue->limits;
	blk_opf_t opf = REQ_OP_READ | REQ_CC_SHARED;

	KUNIT_EXPECT_TRUE(test, bdev_cc_shared(t->disk->part0));
	KUNIT_EXPECT_TRUE(test, status_of(test, make_bio(t, t->loan, opf)) == BLK_STS_OK);
	lim->features &= ~BLK_FEAT_CC_SHARED;
	KUNIT_EXPECT_FALSE(test, bdev_cc_shared(t->disk->part0));
	KUNIT_EXPECT_TRUE(test, status_of(test, make_bio(t, t->loan, opf)) == BLK_STS_NOTSUPP);
	lim->features |= BLK_FEAT_CC_SHARED;
}

/* Gate: only reads. */
static void block_reads(struct kunit *test)
{
	struct block_test *t = test->priv;
	blk_opf_t opf = REQ_OP_WRITE | REQ_CC_SHARED;

	KUNIT_EXPECT_TRUE(test, status_of(test, make_bio(t, t->loan, opf)) == BLK_STS_NOTSUPP);
}

/* Gate: whose pages are all loans. */
static void block_pages(struct kunit *test)
{
	struct block_test *t = test->priv;
	blk_opf_t opf = REQ_OP_READ | REQ_CC_SHARED;
	struct bio *bio;

	cc_test_log_begin(test);
	KUNIT_EXPECT_TRUE(test, status_of(test, make_bio(t, t->page, opf)) == BLK_STS_NOTSUPP);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("WARNING", ""));

	cc_test_log_begin(test);
	bio = make_bio(t, t->loan, opf);
	__bio_add_page(bio, t->page, 512, 0);
	KUNIT_EXPECT_TRUE(test, status_of(test, bio) == BLK_STS_NOTSUPP);
	cc_test_log_end(test);
	KUNIT_EXPECT_EQ(test, 1, cc_test_log_lines("WARNING", ""));
}

/* Gate: nothing is verified that the host can change. */
static void block_verified(struct kunit *test)
{
#ifdef CONFIG_BLK_DEV_INTEGRITY
	struct block_test *t = test->priv;
	struct queue_limits lim = t->disk->queue->limits;
	struct bio_integrity_payload bip = {};
	struct bio *bio = make_bio(t, t->loan, REQ_OP_READ | REQ_CC_SHARED);

	bio->bi_integrity = &bip;
	bio->bi_opf |= REQ_INTEGRITY;
	given = 0;
	/* Ended before anybody looks into the payload. */
	bio->bi_status = 0;
	bip.bip_flags = 0;
	submit_bio_noacct(bio);
	KUNIT_EXPECT_TRUE(test, bio->bi_status == BLK_STS_NOTSUPP);
	KUNIT_EXPECT_FALSE(test, given);
	bio->bi_integrity = NULL;

	/* A format with tags for each block. */
#ifdef __DMA_ATTR_ALLOC_CC_SHARED /* a newer kernel, with another name here */
	lim.integrity.metadata_size = 8;
#else
	lim.integrity.tuple_size = 8;
#endif
	lim.features |= BLK_FEAT_CC_SHARED;
	KUNIT_EXPECT_EQ(test, 0, blk_set_default_limits(&lim));
	KUNIT_EXPECT_FALSE(test, lim.features & BLK_FEAT_CC_SHARED);
#else
	kunit_skip(test, "needs CONFIG_BLK_DEV_INTEGRITY");
#endif
}

/* Gate: a request is of loans, or not of loans. */
static void block_merge(struct kunit *test)
{
	struct block_test *t = test->priv;
	static const blk_opf_t opf[] = { REQ_OP_READ, REQ_OP_READ | REQ_CC_SHARED };
	struct request *rq = kunit_kzalloc(test, sizeof(*rq), GFP_KERNEL);
	struct bio *first = kunit_kzalloc(test, sizeof(*first), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, rq);
	KUNIT_ASSERT_NOT_NULL(test, first);
	rq->q = t->disk->queue;
	rq->bio = first;
	rq->biotail = first;
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int j = 0; j < 2; j++) {
			bio_init(first, t->disk->part0, NULL, 0, opf[i]);
			rq->cmd_flags = opf[i];
			KUNIT_EXPECT_EQ(test, i == j,
					blk_rq_merge_ok(rq, make_bio(t, t->loan, opf[j])));
			bio_uninit(&t->bio);
			bio_uninit(first);
		}
	}
}

/* The same of two requests, as the plug and the schedulers merge them. */
static void block_merge_requests(struct kunit *test)
{
	struct block_test *t = test->priv;
	static const blk_opf_t opf[] = { REQ_OP_READ, REQ_OP_READ | REQ_CC_SHARED };
	struct elevator_queue *elevator = kunit_kzalloc(test, sizeof(*elevator), GFP_KERNEL);
	static struct elevator_type type;
	struct request *rq[2];
	struct bio *bio[2];

	KUNIT_ASSERT_NOT_NULL(test, elevator);
	elevator->type = &type;
	t->disk->queue->elevator = elevator;
	for (unsigned int k = 0; k < 2; k++) {
		rq[k] = kunit_kzalloc(test, sizeof(*rq[k]), GFP_KERNEL);
		bio[k] = kunit_kzalloc(test, sizeof(*bio[k]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, rq[k]);
		KUNIT_ASSERT_NOT_NULL(test, bio[k]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int j = 0; j < 2; j++) {
			for (unsigned int k = 0; k < 2; k++) {
				bio_init(bio[k], t->disk->part0, NULL, 0, opf[k ? j : i]);
				memset(rq[k], 0, sizeof(*rq[k]));
				rq[k]->q = t->disk->queue;
				rq[k]->bio = bio[k];
				rq[k]->biotail = bio[k];
				rq[k]->cmd_flags = bio[k]->bi_opf;
				rq[k]->__sector = 8 * k;
				rq[k]->__data_len = 8 << SECTOR_SHIFT;
			}
			KUNIT_EXPECT_EQ(test, i == j,
					blk_attempt_req_merge(t->disk->queue, rq[0], rq[1]));
		}
	}
	t->disk->queue->elevator = NULL;
}

/* Gate: a stacked device says it only if it does, and all below do. */
static void block_stacking(struct kunit *test)
{
	for (unsigned int i = 0; i < 8; i++) {
		struct queue_limits top, bottom[2];
		bool want = i == 7;

		blk_set_stacking_limits(&top);
		if (i & 4)
			top.features |= BLK_FEAT_CC_SHARED;
		for (unsigned int j = 0; j < 2; j++) {
			blk_set_stacking_limits(&bottom[j]);
			if (i & BIT(j))
				bottom[j].features |= BLK_FEAT_CC_SHARED;
			KUNIT_EXPECT_EQ(test, 0, blk_stack_limits(&top, &bottom[j], 0));
		}
		KUNIT_EXPECT_EQ_MSG(test, want, !!(top.features & BLK_FEAT_CC_SHARED), "%u", i);
	}
}

static struct kunit_case block_cases[] = {
	KUNIT_CASE(block_feature),
	KUNIT_CASE(block_reads),
	KUNIT_CASE(block_pages),
	KUNIT_CASE(block_verified),
	KUNIT_CASE(block_merge),
	KUNIT_CASE(block_merge_requests),
	KUNIT_CASE(block_stacking),
	{}
};

static struct kunit_suite block_suite = {
	.name = "cc_swiotlb_block_loan",
	.init = block_init,
	.exit = block_exit,
	.test_cases = block_cases,
};

kunit_test_suite(block_suite);

MODULE_DESCRIPTION("Test of loans of cc-swiotlb in the block layer");
MODULE_LICENSE("GPL");
