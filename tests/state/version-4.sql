BEGIN TRANSACTION;
CREATE TABLE attempt (
	id INTEGER NOT NULL, 
	migration INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	source_id VARCHAR(512) NOT NULL, 
	started BIGINT NOT NULL, 
	ended BIGINT, 
	status VARCHAR(32), 
	error TEXT NOT NULL, 
	hint TEXT NOT NULL, 
	retryable BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(migration) REFERENCES migration (number)
);
INSERT INTO "attempt" VALUES(1,1,'experiment','1',1795912411123,1795912411141,'done','','',0);
INSERT INTO "attempt" VALUES(2,1,'run','a',1795912411123,1795912411141,'done','','',0);
INSERT INTO "attempt" VALUES(3,1,'logged model','m-1',1795912411123,1795912411141,'done','','',0);
INSERT INTO "attempt" VALUES(4,1,'deletion','m-1',1795912411123,1795912411141,'failed','no answer','',0);
INSERT INTO "attempt" VALUES(5,1,'deletion','1',1795912411123,NULL,NULL,'','',0);
INSERT INTO "attempt" VALUES(6,1,'experiment','2',1795912411123,1795912411141,'done','','',0);
INSERT INTO "attempt" VALUES(7,1,'deletion','2',1795912411123,1795912411141,'done','','',0);
CREATE TABLE edge (
	task INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	needs INTEGER NOT NULL, 
	soft BOOLEAN NOT NULL, 
	PRIMARY KEY (task, position), 
	FOREIGN KEY(task) REFERENCES task (id), 
	FOREIGN KEY(needs) REFERENCES task (id)
);
INSERT INTO "edge" VALUES(2,0,1,0);
INSERT INTO "edge" VALUES(3,0,1,0);
INSERT INTO "edge" VALUES(4,0,3,0);
INSERT INTO "edge" VALUES(5,0,1,0);
INSERT INTO "edge" VALUES(5,1,2,0);
INSERT INTO "edge" VALUES(5,2,3,0);
INSERT INTO "edge" VALUES(5,3,4,0);
INSERT INTO "edge" VALUES(7,0,6,0);
CREATE TABLE holder (
	pid BIGINT NOT NULL, 
	host TEXT NOT NULL, 
	since BIGINT NOT NULL
);
INSERT INTO "holder" VALUES(24241,'vm',1795912411087);
CREATE TABLE id_map (
	source_id VARCHAR(512) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	migration INTEGER NOT NULL, 
	target_id VARCHAR(512) NOT NULL, 
	name TEXT NOT NULL, 
	PRIMARY KEY (source_id, kind, migration), 
	FOREIGN KEY(migration) REFERENCES migration (number)
);
INSERT INTO "id_map" VALUES('1','experiment',1,'new-1','fraud');
INSERT INTO "id_map" VALUES('2','deletion',1,'new-2','run 2');
INSERT INTO "id_map" VALUES('2','experiment',1,'new-2','other');
INSERT INTO "id_map" VALUES('a','run',1,'new-a','run a');
INSERT INTO "id_map" VALUES('m-1','logged model',1,'new-m-1','run m-1');
CREATE TABLE migration (
	number INTEGER NOT NULL, 
	id VARCHAR(512) NOT NULL, 
	created BIGINT NOT NULL, 
	first_task BIGINT NOT NULL, 
	last_task BIGINT NOT NULL, 
	source_uri TEXT NOT NULL, 
	source_identity TEXT NOT NULL, 
	source_description TEXT NOT NULL, 
	target_uri TEXT NOT NULL, 
	target_identity TEXT NOT NULL, 
	target_description TEXT NOT NULL, 
	options JSON NOT NULL, 
	notes JSON NOT NULL, 
	collisions JSON NOT NULL, 
	unsupported JSON NOT NULL, 
	known JSON NOT NULL, 
	unknown JSON, 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "migration" VALUES(1,'m1',1000,1,7,'http://old:5000','old','MLflow 2.9.2','http://new:5000','new','MLflow 3.17.2','{}','[]','[]','{}','{}',NULL);
CREATE TABLE state_version (
	version INTEGER NOT NULL
);
INSERT INTO "state_version" VALUES(4);
CREATE TABLE task (
	id INTEGER NOT NULL, 
	migration INTEGER NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	source_id VARCHAR(512) NOT NULL, 
	name TEXT NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	container TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	target_id TEXT NOT NULL, 
	mark TEXT NOT NULL, 
	because JSON, 
	number INTEGER NOT NULL, 
	first_free INTEGER NOT NULL, 
	planned_losses JSON, 
	planned_warnings JSON, 
	status VARCHAR(32) NOT NULL, 
	blocked_by TEXT, 
	losses JSON, 
	warnings JSON, 
	wrote BOOLEAN NOT NULL, 
	bytes_sent BIGINT NOT NULL, 
	objects INTEGER DEFAULT 1 NOT NULL, 
	objects_written INTEGER DEFAULT 1 NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (migration, source_id, kind), 
	FOREIGN KEY(migration) REFERENCES migration (number)
);
INSERT INTO "task" VALUES(1,1,'experiment','1','fraud','create','','','new-1','',NULL,0,0,NULL,NULL,'done',NULL,NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(2,1,'run','a','run a','create','1','','new-a','',NULL,0,0,NULL,NULL,'done',NULL,NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(3,1,'logged model','m-1','run m-1','create','1','','new-m-1','',NULL,0,0,NULL,NULL,'done',NULL,NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(4,1,'deletion','m-1','run m-1','create','1','','','',NULL,0,0,NULL,NULL,'failed',NULL,NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(5,1,'deletion','1','run 1','create','1','','','',NULL,0,0,NULL,NULL,'blocked','deletion:m-1',NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(6,1,'experiment','2','other','create','','','new-2','',NULL,0,0,NULL,NULL,'done',NULL,NULL,NULL,0,0,1,0);
INSERT INTO "task" VALUES(7,1,'deletion','2','run 2','create','2','','new-2','',NULL,0,0,NULL,NULL,'done',NULL,NULL,NULL,0,0,1,0);
CREATE INDEX attempt_of ON attempt (migration, source_id, kind);
CREATE INDEX ix_id_map_target_id ON id_map (target_id);
CREATE INDEX ix_edge_needs ON edge (needs);
COMMIT;
