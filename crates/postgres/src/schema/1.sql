-- Version 1. Texts compare by their bytes (collation "C"), as keys of the catalog are ordered.

CREATE TABLE entry (
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    version int8 NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE sequence (
    name text COLLATE "C" PRIMARY KEY,
    last int8 NOT NULL
);

-- class: 2 when activated, plus 1 when disabled.
CREATE TABLE device (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    iot_id text COLLATE "C" NOT NULL UNIQUE,
    product text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    nickname text NOT NULL,
    created int8 NOT NULL,
    activated int8,
    disabled bool NOT NULL,
    online int8,
    offline int8,
    address text NOT NULL,
    firmware text NOT NULL,
    tags text NOT NULL,
    credential int8 NOT NULL,
    version int8 NOT NULL,
    class int2 NOT NULL GENERATED ALWAYS AS
        (((activated IS NOT NULL)::int4 * 2 + disabled::int4)::int2) STORED,
    UNIQUE (product, name)
) WITH (fillfactor = 85);
CREATE INDEX device_page ON device (product, id) INCLUDE (class);

-- Devices of a product and class, spread over several rows that are summed up, so that many
-- devices that connect for the first time do not wait for each other. One row may be below zero.
CREATE TABLE device_count (
    product text COLLATE "C" NOT NULL,
    class int2 NOT NULL,
    part int2 NOT NULL,
    devices int8 NOT NULL,
    PRIMARY KEY (product, class, part)
) WITH (fillfactor = 50);

-- class: 1 device, 2 product, 3 access key, 4 the server's own.
CREATE TABLE secret (
    class int2 NOT NULL,
    id text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (class, id)
);

-- Tokens come from outside and may be any text; as bytes they may hold a NUL.
CREATE TABLE challenge (
    owner bytea NOT NULL,
    token bytea NOT NULL,
    until int8 NOT NULL,
    PRIMARY KEY (owner, token)
);
CREATE INDEX challenge_until ON challenge (until);

CREATE TABLE burnt (
    owner bytea NOT NULL,
    token bytea NOT NULL,
    until int8 NOT NULL,
    PRIMARY KEY (owner, token)
);
CREATE INDEX burnt_until ON burnt (until);

CREATE SEQUENCE command_id AS int8 MINVALUE 1 MAXVALUE 4294967295 CYCLE;

CREATE TABLE command (
    number int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id int8 NOT NULL UNIQUE,
    iot_id text COLLATE "C" NOT NULL,
    product text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    task text NOT NULL,
    created int8 NOT NULL,
    until int8 NOT NULL,
    sent bool NOT NULL
);
CREATE INDEX command_waiting ON command (iot_id, number) WHERE NOT sent;
CREATE INDEX command_until ON command (until);

CREATE TABLE audit (
    seq int8 PRIMARY KEY,
    entry text NOT NULL,
    hash text NOT NULL
);

-- One history of one device, with its latest value when it is a property's.
-- stream: 0 property, 1 event, 2 service. kind: 0 none, 1 info, 2 alert, 3 error.
CREATE TABLE history (
    id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    iot_id text COLLATE "C" NOT NULL,
    stream int2 NOT NULL,
    identifier text COLLATE "C" NOT NULL,
    kind int2 NOT NULL,
    latest_at int8 NOT NULL,
    latest_position int8 NOT NULL,
    latest text,
    UNIQUE (iot_id, stream, identifier, kind)
) WITH (fillfactor = 70);

CREATE TABLE point (
    history int8 NOT NULL,
    at int8 NOT NULL,
    position int8 NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (history, at, position)
);
CREATE INDEX point_at ON point (at);
