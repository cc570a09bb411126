BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE balances (
	scope TEXT NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	settled BIGINT NOT NULL, 
	reserved BIGINT NOT NULL, 
	held BIGINT NOT NULL, 
	PRIMARY KEY (scope, simulated)
);
INSERT INTO "balances" VALUES('day/2026-11-30',0,478000,240000,240000);
INSERT INTO "balances" VALUES('month/2026-11',0,478000,240000,240000);
INSERT INTO "balances" VALUES('total',0,478000,240000,240000);
CREATE TABLE budgets (
	name TEXT NOT NULL, 
	limit_micro BIGINT NOT NULL, 
	changed DATETIME NOT NULL, 
	PRIMARY KEY (name), 
	CONSTRAINT budgets_limit_range CHECK (limit_micro BETWEEN 0 AND 1000000000000)
);
INSERT INTO "budgets" VALUES('month',50000000,'2026-11-22 22:07:44.457954');
CREATE TABLE calls (
	id TEXT NOT NULL, 
	job TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	owner TEXT NOT NULL, 
	library TEXT NOT NULL, 
	model TEXT NOT NULL, 
	upstream TEXT NOT NULL, 
	project TEXT NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	transport TEXT NOT NULL, 
	reserved BIGINT NOT NULL, 
	twin TEXT NOT NULL, 
	begun DATETIME NOT NULL, 
	changed DATETIME NOT NULL, 
	attempts BIGINT NOT NULL, 
	remote TEXT, 
	note TEXT, 
	scopes JSON NOT NULL, 
	trail JSON NOT NULL, 
	"plan" JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT calls_reserved_range CHECK (reserved BETWEEN 0 AND 1000000000000)
);
INSERT INTO "calls" VALUES('job-0001-1','job-0001','settled','process-1','library-1','gemini-3-pro-image','generativelanguage.googleapis.com','main',0,'generate_content',240000,'tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','2026-11-30 12:00:00.123456','2026-11-30 12:00:05.123456',0,NULL,NULL,'["day/2026-11-30", "month/2026-11", "total"]','[{"stage": "reserved", "at": "2026-11-30T12:00:00.123456+00:00", "facts": {"micro": 240000}}, {"stage": "intent", "at": "2026-11-30T12:00:01.123456+00:00", "facts": {}}, {"stage": "sent", "at": "2026-11-30T12:00:02.123456+00:00", "facts": {}}, {"stage": "received", "at": "2026-11-30T12:00:03.123456+00:00", "facts": {}}, {"stage": "stored", "at": "2026-11-30T12:00:04.123456+00:00", "facts": {}}, {"stage": "settled", "at": "2026-11-30T12:00:05.123456+00:00", "facts": {}}]','{"model": "gemini-3-pro-image", "prompt": "A lighthouse at dusk"}');
INSERT INTO "calls" VALUES('job-0002-1','job-0002','settled','process-1','library-1','gemini-3-pro-image','generativelanguage.googleapis.com','main',0,'generate_content',240000,'tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','2026-11-30 12:01:00.123456','2026-11-30 12:01:05.123456',0,NULL,NULL,'["day/2026-11-30", "month/2026-11", "total"]','[{"stage": "reserved", "at": "2026-11-30T12:01:00.123456+00:00", "facts": {"micro": 240000}}, {"stage": "intent", "at": "2026-11-30T12:01:01.123456+00:00", "facts": {}}, {"stage": "sent", "at": "2026-11-30T12:01:02.123456+00:00", "facts": {}}, {"stage": "received", "at": "2026-11-30T12:01:03.123456+00:00", "facts": {}}, {"stage": "stored", "at": "2026-11-30T12:01:04.123456+00:00", "facts": {}}, {"stage": "settled", "at": "2026-11-30T12:01:05.123456+00:00", "facts": {}}]','{"model": "gemini-3-pro-image", "prompt": "\u91d1\u8272\u7684\u706f\u5854 \ud800\u0000 '' end"}');
INSERT INTO "calls" VALUES('job-0003-1','job-0003','held','process-1','library-1','gemini-3-pro-image','generativelanguage.googleapis.com','main',0,'generate_content',240000,'tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','2026-11-30 12:05:00.123456','2026-11-30 12:05:04.123456',0,NULL,NULL,'["day/2026-11-30", "month/2026-11", "total"]','[{"stage": "reserved", "at": "2026-11-30T12:05:00.123456+00:00", "facts": {"micro": 240000}}, {"stage": "intent", "at": "2026-11-30T12:05:01.123456+00:00", "facts": {}}, {"stage": "sent", "at": "2026-11-30T12:05:02.123456+00:00", "facts": {}}, {"stage": "unknown", "at": "2026-11-30T12:05:03.123456+00:00", "facts": {}}, {"stage": "held", "at": "2026-11-30T12:05:04.123456+00:00", "facts": {}}]','{"model": "gemini-3-pro-image", "prompt": "\u91d1 \ud800\u0000", "sizes": {"4K": [5504, 3072]}}');
INSERT INTO "calls" VALUES('job-0004-1','job-0004','intent','process-1','library-1','gemini-3-pro-image','generativelanguage.googleapis.com','main',0,'generate_content',240000,'tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt','2026-11-30 12:06:00.123456','2026-11-30 12:06:01.123456',0,NULL,NULL,'["day/2026-11-30", "month/2026-11", "total"]','[{"stage": "reserved", "at": "2026-11-30T12:06:00.123456+00:00", "facts": {"micro": 240000}}, {"stage": "intent", "at": "2026-11-30T12:06:01.123456+00:00", "facts": {}}]','{"model": "gemini-3-pro-image", "prompt": "\u91d1 \ud800\u0000", "sizes": {"4K": [5504, 3072]}}');
CREATE TABLE claims (
	"key" TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	job TEXT NOT NULL, 
	state TEXT NOT NULL, 
	expires DATETIME NOT NULL, 
	error JSON, 
	PRIMARY KEY ("key")
);
INSERT INTO "claims" VALUES('key-0','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','job-0001','final','2026-12-03 12:00:00.123456',NULL);
INSERT INTO "claims" VALUES('key-1','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','job-0002','final','2026-12-03 12:00:00.123456',NULL);
CREATE TABLE "ledger" (
	entry_id TEXT NOT NULL, 
	record_id TEXT NOT NULL, 
	call_id TEXT, 
	kind TEXT NOT NULL, 
	micro BIGINT NOT NULL, 
	at DATETIME NOT NULL, 
	model TEXT NOT NULL, 
	size TEXT, 
	price_version TEXT NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	scopes JSON NOT NULL, 
	detail JSON NOT NULL, 
	day TEXT NOT NULL, 
	queries BIGINT NOT NULL, 
	PRIMARY KEY (entry_id), 
	CONSTRAINT ledger_micro_range CHECK (micro BETWEEN -1000000000000 AND 1000000000000 AND (kind <> 'settle' OR micro >= 0))
);
INSERT INTO "ledger" VALUES('job-0001-1-reserve','job-0001','job-0001-1','reserve',240000,'2026-11-30 12:00:00.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0001-1-release','job-0001','job-0001-1','release',-240000,'2026-11-30 12:00:05.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0001-1-settle','job-0001','job-0001-1','settle',239000,'2026-11-30 12:00:05.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0002-1-reserve','job-0002','job-0002-1','reserve',240000,'2026-11-30 12:01:00.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0002-1-release','job-0002','job-0002-1','release',-240000,'2026-11-30 12:01:05.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0002-1-settle','job-0002','job-0002-1','settle',239000,'2026-11-30 12:01:05.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0003-1-reserve','job-0003','job-0003-1','reserve',240000,'2026-11-30 12:05:00.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0003-1-hold','job-0003','job-0003-1','hold',240000,'2026-11-30 12:05:03.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0003-1-release','job-0003','job-0003-1','release',-240000,'2026-11-30 12:05:03.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
INSERT INTO "ledger" VALUES('job-0004-1-reserve','job-0004','job-0004-1','reserve',240000,'2026-11-30 12:06:00.123456','gemini-3-pro-image','4K','p1',0,'["day/2026-11-30", "month/2026-11", "total"]','{}','2026-11-30',0);
CREATE TABLE record_images (
	record_id TEXT NOT NULL, 
	ordinal INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	role TEXT NOT NULL, 
	format TEXT NOT NULL, 
	media_type TEXT NOT NULL, 
	width BIGINT NOT NULL, 
	height BIGINT NOT NULL, 
	size BIGINT NOT NULL, 
	verdict TEXT NOT NULL, 
	signature_key TEXT, 
	PRIMARY KEY (record_id, ordinal), 
	FOREIGN KEY(record_id) REFERENCES records (id)
);
INSERT INTO "record_images" VALUES('job-0001',0,'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','sha256/bb/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.jpg','draft','jpeg','image/jpeg',5504,3072,8700000,'verified','sha256/bb/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.sig');
INSERT INTO "record_images" VALUES('job-0001',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','sha256/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.jpg','result','jpeg','image/jpeg',5504,3072,8700000,'verified','sha256/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig');
INSERT INTO "record_images" VALUES('job-0002',0,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','sha256/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.jpg','result','jpeg','image/jpeg',5504,3072,8700000,'verified','sha256/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig');
CREATE TABLE records (
	id TEXT NOT NULL, 
	created DATETIME NOT NULL, 
	outcome TEXT NOT NULL, 
	prompt TEXT NOT NULL, 
	model TEXT NOT NULL, 
	size TEXT, 
	aspect TEXT, 
	tier TEXT NOT NULL, 
	verdict TEXT, 
	cost BIGINT NOT NULL, 
	estimate JSON NOT NULL, 
	simulated BOOLEAN NOT NULL, 
	upstream TEXT NOT NULL, 
	request JSON NOT NULL, 
	usage JSON NOT NULL, 
	grounding JSON NOT NULL, 
	timing JSON NOT NULL, 
	texts JSON NOT NULL, 
	turn JSON NOT NULL, 
	warnings JSON NOT NULL, 
	finish_reason TEXT, 
	model_version TEXT, 
	response_id TEXT, 
	attempts BIGINT NOT NULL, 
	parents JSON NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT records_cost_range CHECK (cost BETWEEN 0 AND 1000000000000)
);
INSERT INTO "records" VALUES('job-0001','2026-11-30 12:00:04.123456','kept','A lighthouse at dusk','gemini-3-pro-image','4K','16:9','standard','verified',239000,'{"low": 239000, "expected": 240000, "high": 260000, "priced_on": "2026-11-01", "price_version": "gemini-3-pro-image@2026-11-01", "notes": ["Thinking is estimated."]}',1,'127.0.0.1:8765','{"model": "gemini-3-pro-image", "prompt": "\u201c\u91d1\u8272\u7684\u706f\u5854\u201d at golden hour, 4K\n", "seed": null, "size": "4K"}','{"image_tokens": 2000, "prompt_tokens": 12, "thought_tokens": 150}','{}','{"done": 31.25, "sent": 0.01}','["Here it is."]','[]','[]','STOP','gemini-3-pro-image-001','abc',1,'["cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"]');
INSERT INTO "records" VALUES('job-0002','2026-11-30 12:01:04.123456','kept','金色的灯塔 '||char(26)||'d800'||char(26)||'0000 '' end','gemini-3-pro-image','4K','16:9','standard','verified',239000,'{"low": 239000, "expected": 240000, "high": 260000, "priced_on": "2026-11-01", "price_version": "gemini-3-pro-image@2026-11-01", "notes": ["Thinking is estimated."]}',1,'127.0.0.1:8765','{"model": "gemini-3-pro-image", "prompt": "\u201c\u91d1\u8272\u7684\u706f\u5854\u201d at golden hour, 4K\n", "seed": null, "size": "4K"}','{"image_tokens": 2000, "prompt_tokens": 12, "thought_tokens": 150}','{}','{"done": 31.25, "sent": 0.01}','["Here it is."]','[]','[]','STOP','gemini-3-pro-image-001','abc',1,'["cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"]');
CREATE INDEX records_by_time ON records (created, id);
CREATE INDEX record_images_by_content ON record_images (sha256);
CREATE INDEX ledger_by_record ON ledger (record_id);
CREATE INDEX ledger_by_time ON ledger (at);
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE INDEX calls_by_stage ON calls (stage, begun);
CREATE INDEX calls_by_twin ON calls (twin);
CREATE INDEX calls_by_project ON calls (project, changed);
CREATE INDEX calls_by_time ON calls (begun, id);
CREATE INDEX calls_by_job ON calls (job);
COMMIT;
