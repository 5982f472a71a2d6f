CREATE TABLE holder (
    pid BIGINT NOT NULL,
    host TEXT NOT NULL,
    since BIGINT NOT NULL
);

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
    PRIMARY KEY (number),
    UNIQUE (id)
);

CREATE TABLE state_version (
    version INTEGER NOT NULL
);

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

CREATE INDEX attempt_of ON attempt (migration, source_id, kind);

CREATE TABLE id_map (
    source_id VARCHAR(512) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    migration INTEGER NOT NULL,
    target_id VARCHAR(512) NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (source_id, kind, migration),
    FOREIGN KEY(migration) REFERENCES migration (number)
);

CREATE INDEX ix_id_map_target_id ON id_map (target_id);

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
    PRIMARY KEY (id),
    UNIQUE (migration, source_id, kind),
    FOREIGN KEY(migration) REFERENCES migration (number)
);

CREATE TABLE edge (
    task INTEGER NOT NULL,
    position INTEGER NOT NULL,
    needs INTEGER NOT NULL,
    soft BOOLEAN NOT NULL,
    PRIMARY KEY (task, position),
    FOREIGN KEY(task) REFERENCES task (id),
    FOREIGN KEY(needs) REFERENCES task (id)
);

CREATE INDEX ix_edge_needs ON edge (needs);

INSERT INTO state_version VALUES (1);
