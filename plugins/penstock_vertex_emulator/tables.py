"""The tables of what must survive a restart: jobs, operations, what is cached, what is known of objects, logs."""

TABLES = """
create table if not exists jobs (
    name text primary key, parent text not null, seq integer not null, resource blob not null, live blob not null,
    unfinished integer not null
);
create index if not exists jobs_unfinished on jobs (unfinished) where unfinished;
create table if not exists operations (name text primary key, parent text not null, body blob not null);
create table if not exists cache (key text primary key, detail blob not null);
create table if not exists buckets (name text primary key, body text not null);
create table if not exists objects (
    bucket text not null, name text not null, generation integer not null, body text not null,
    primary key (bucket, name)
);
create table if not exists uploads (id text primary key, body text not null);
create table if not exists packages (name text primary key, body text not null);
create table if not exists entries (
    job text not null, time integer not null, insert_id text not null, log_id text not null, project text not null,
    received integer not null, rest text not null,
    primary key (job, time, insert_id, log_id, project)
) without rowid;
create table if not exists agents (file text primary key, position integer not null);
"""
