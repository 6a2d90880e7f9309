BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('60853ecb-23b2-4d14-9df9-585197003234','1',1795653938000,1795653938000,'retouch');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('D95EDC5F3E71F395035BD50A3F83E4F2','jobs-qwen_image',NULL,1,NULL,NULL,1,0,0.1,1795653938000,1795653938990,'retouch',NULL,NULL,NULL,NULL);
CREATE TABLE retouch_doomed_files (
	file_id VARCHAR(64) NOT NULL, 
	doomed_at DOUBLE NOT NULL, 
	removed_at DOUBLE, 
	PRIMARY KEY (file_id)
);
CREATE TABLE retouch_durations (
	seq INTEGER NOT NULL, 
	model VARCHAR(128) NOT NULL, 
	task VARCHAR(32) NOT NULL, 
	pixels BIGINT NOT NULL, 
	steps DOUBLE NOT NULL, 
	pictures INTEGER NOT NULL, 
	guided BOOLEAN NOT NULL, 
	beside INTEGER NOT NULL, 
	seconds DOUBLE NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "retouch_durations" VALUES(1,'qwen_image','generate',1,1.0,1,0,0,0.00545954704284668);
CREATE TABLE retouch_events (
	job_id VARCHAR(64) NOT NULL, 
	id INTEGER NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	data JSON NOT NULL, 
	PRIMARY KEY (job_id, id)
);
INSERT INTO "retouch_events" VALUES('job_01a21550af350000e4298464cfffe50f',1,'queued','{"queue_position": 0}');
INSERT INTO "retouch_events" VALUES('job_01a21550af350000e4298464cfffe50f',2,'started','{}');
INSERT INTO "retouch_events" VALUES('job_01a21550af350000e4298464cfffe50f',3,'progress','{"step": 1, "total_steps": 2, "progress": 0.495}');
INSERT INTO "retouch_events" VALUES('job_01a21550af350000e4298464cfffe50f',4,'progress','{"step": 2, "total_steps": 2, "progress": 0.99}');
INSERT INTO "retouch_events" VALUES('job_01a21550af350000e4298464cfffe50f',5,'succeeded','{}');
INSERT INTO "retouch_events" VALUES('job_01a21550b39a00010ca8c9f34cca71ba',1,'queued','{"queue_position": 0}');
INSERT INTO "retouch_events" VALUES('job_01a21550b3a000028b218117d99c881e',1,'queued','{"queue_position": 1}');
INSERT INTO "retouch_events" VALUES('job_01a21550b3ab0003df0e16d087f87342',1,'queued','{"queue_position": 2}');
INSERT INTO "retouch_events" VALUES('job_01a21550b3ab0003df0e16d087f87342',2,'canceled','{}');
INSERT INTO "retouch_events" VALUES('job_01a21550b39a00010ca8c9f34cca71ba',2,'started','{}');
INSERT INTO "retouch_events" VALUES('job_01a21550b39a00010ca8c9f34cca71ba',3,'progress','{"step": 1, "total_steps": 2, "progress": 0.495}');
CREATE TABLE retouch_job_files (
	job_id VARCHAR(64) NOT NULL, 
	file_id VARCHAR(64) NOT NULL, 
	PRIMARY KEY (job_id, file_id)
);
INSERT INTO "retouch_job_files" VALUES('job_01a21550af350000e4298464cfffe50f','file_0000000000000000000000000000000000000000');
CREATE TABLE retouch_jobs (
	seq INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	owner VARCHAR(128) NOT NULL, 
	task VARCHAR(32) NOT NULL, 
	model VARCHAR(128) NOT NULL, 
	request JSON NOT NULL, 
	metadata JSON NOT NULL, 
	webhook TEXT, 
	status VARCHAR(16) NOT NULL, 
	rank INTEGER NOT NULL, 
	lap INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	total_steps INTEGER NOT NULL, 
	created_at DOUBLE NOT NULL, 
	started_at DOUBLE, 
	completed_at DOUBLE, 
	expires_at DOUBLE, 
	keep_s DOUBLE NOT NULL, 
	deadline_s DOUBLE, 
	deadline_at DOUBLE, 
	attempts INTEGER NOT NULL, 
	ticket INTEGER NOT NULL, 
	in_line INTEGER NOT NULL, 
	worker VARCHAR(128), 
	events INTEGER NOT NULL, 
	idempotency_key VARCHAR(256), 
	fingerprint VARCHAR(64), 
	PRIMARY KEY (seq), 
	UNIQUE (owner, idempotency_key), 
	UNIQUE (id)
);
INSERT INTO "retouch_jobs" VALUES(1,'job_01a21550af350000e4298464cfffe50f','public','generate','qwen_image','{"prompt": "done"}','{}',NULL,'succeeded',0,0,2,2,1.79565393899778103824e+09,1.79565394010818862912e+09,1.79565394011364817621e+09,1.79625874011364817617e+09,604800.0,NULL,NULL,1,1,1,'old-worker',5,'first','f');
INSERT INTO "retouch_jobs" VALUES(2,'job_01a21550b39a00010ca8c9f34cca71ba','public','generate','qwen_image','{"prompt": "hold"}','{}',NULL,'running',0,0,1,2,1.79565394012257313724e+09,1.795653940226698637e+09,NULL,NULL,604800.0,NULL,NULL,1,1,1,'old-worker',3,NULL,NULL);
INSERT INTO "retouch_jobs" VALUES(3,'job_01a21550b3a000028b218117d99c881e','public','generate','qwen_image','{"prompt": "waits"}','{"order": "7"}',NULL,'queued',0,1,0,0,1.79565394012829279896e+09,NULL,NULL,NULL,604800.0,NULL,NULL,0,1,1,NULL,1,NULL,NULL);
INSERT INTO "retouch_jobs" VALUES(4,'job_01a21550b3ab0003df0e16d087f87342','public','generate','qwen_image','{"prompt": "no"}','{}',NULL,'canceled',0,2,0,0,1.79565394013921046257e+09,NULL,1.7956539401513392925e+09,1.79625874015133929258e+09,604800.0,NULL,NULL,0,1,1,NULL,2,NULL,NULL);
CREATE TABLE retouch_results (
	job_id VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	output JSON NOT NULL, 
	preservation JSON, 
	warnings JSON NOT NULL, 
	timings JSON NOT NULL, 
	error JSON, 
	PRIMARY KEY (job_id)
);
INSERT INTO "retouch_results" VALUES('job_01a21550af350000e4298464cfffe50f','succeeded','[{"file_id": "file_0000000000000000000000000000000000000000", "url": "/v1/files/file_0000000000000000000000000000000000000000/content", "width": 64, "height": 64, "format": "png", "sha256": "0000000000000000000000000000000000000000000000000000000000000000", "seed": 1}]','null','[]','{}','null');
INSERT INTO "retouch_results" VALUES('job_01a21550b3ab0003df0e16d087f87342','canceled','[]','null','[]','{}','null');
CREATE TABLE retouch_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "retouch_schema" VALUES(3);
CREATE TABLE retouch_webhooks (
	id VARCHAR(80) NOT NULL, 
	job_id VARCHAR(64) NOT NULL, 
	url TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at DOUBLE, 
	delivered_at DOUBLE, 
	last_error TEXT, 
	PRIMARY KEY (id), 
	UNIQUE (job_id)
);
CREATE TABLE retouch_workers (
	id VARCHAR(128) NOT NULL, 
	seen_at DOUBLE NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "retouch_workers" VALUES('old-worker',1.79565394102714824672e+09);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('job_01a21550af350000e4298464cfffe50f:1','gASVUgAAAAAAAAB9lCiMBGFyZ3OUKIwkam9iXzAxYTIxNTUwYWYzNTAwMDBlNDI5ODQ2NGNmZmZlNTBmlEsBjApxd2VuX2ltYWdllEsBdJSMBmt3YXJnc5R9lHUu',1795653939000);
INSERT INTO "workflow_input" VALUES('job_01a21550b39a00010ca8c9f34cca71ba:1','gASVUgAAAAAAAAB9lCiMBGFyZ3OUKIwkam9iXzAxYTIxNTUwYjM5YTAwMDEwY2E4YzlmMzRjY2E3MWJhlEsBjApxd2VuX2ltYWdllEsBdJSMBmt3YXJnc5R9lHUu',1795653940000);
INSERT INTO "workflow_input" VALUES('job_01a21550b3a000028b218117d99c881e:1','gASVUgAAAAAAAAB9lCiMBGFyZ3OUKIwkam9iXzAxYTIxNTUwYjNhMDAwMDI4YjIxODExN2Q5OWM4ODFllEsBjApxd2VuX2ltYWdllEsCdJSMBmt3YXJnc5R9lHUu',1795653940000);
INSERT INTO "workflow_input" VALUES('job_01a21550b3ab0003df0e16d087f87342:1','gASVUgAAAAAAAAB9lCiMBGFyZ3OUKIwkam9iXzAxYTIxNTUwYjNhYjAwMDNkZjBlMTZkMDg3Zjg3MzQylEsBjApxd2VuX2ltYWdllEsDdJSMBmt3YXJnc5R9lHUu',1795653940000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('job_01a21550af350000e4298464cfffe50f:1','gAROLg==',NULL,1795653940000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('job_01a21550af350000e4298464cfffe50f:1','SUCCESS','retouch_job',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1795653939000,1795653940000,'1','',NULL,NULL,1,'jobs-qwen_image',NULL,NULL,NULL,1795653940000,NULL,1,NULL,NULL,NULL,NULL,'py_pickle',NULL,0,0,1795653940000,'null',NULL,NULL,0,'retouch','01ef631c-cf7e-48b1-b55d-ea9062f0d73e');
INSERT INTO "workflow_status" VALUES('job_01a21550b39a00010ca8c9f34cca71ba:1','PENDING','retouch_job',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1795653940000,1795653940000,'1','',NULL,NULL,1,'jobs-qwen_image',NULL,NULL,NULL,1795653940000,NULL,1,NULL,NULL,'fb23f294-3d83-462f-85af-1f392837ce9b',NULL,'py_pickle',NULL,0,0,NULL,'null',NULL,NULL,0,'retouch','bca1de0e-ce0d-404a-a4c4-c052c1291a93');
INSERT INTO "workflow_status" VALUES('job_01a21550b3a000028b218117d99c881e:1','ENQUEUED','retouch_job',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1795653940000,1795653940000,'1','',NULL,NULL,0,'jobs-qwen_image',NULL,NULL,NULL,NULL,NULL,2,NULL,NULL,NULL,NULL,'py_pickle',NULL,0,0,NULL,'null',NULL,NULL,0,'retouch','3a1680b3-d6c3-4c19-8efd-ef495391f52c');
INSERT INTO "workflow_status" VALUES('job_01a21550b3ab0003df0e16d087f87342:1','ENQUEUED','retouch_job',NULL,NULL,NULL,NULL,NULL,NULL,'old-worker',1795653940000,1795653940000,'1','',NULL,NULL,0,'jobs-qwen_image',NULL,NULL,NULL,NULL,NULL,3,NULL,NULL,NULL,NULL,'py_pickle',NULL,0,0,NULL,'null',NULL,NULL,0,'retouch','2634fb2d-1649-486d-a525-f3421a46c349');
CREATE INDEX retouch_jobs_expiry ON retouch_jobs (expires_at);
CREATE INDEX retouch_jobs_in_line ON retouch_jobs (status, model, rank, lap, seq);
CREATE INDEX retouch_jobs_owner ON retouch_jobs (owner, status);
CREATE INDEX retouch_jobs_laps ON retouch_jobs (model, rank, lap);
CREATE INDEX retouch_job_files_file ON retouch_job_files (file_id);
CREATE INDEX retouch_webhooks_due ON retouch_webhooks (due_at);
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
