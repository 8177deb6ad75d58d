#!/bin/sh
# Once, at the first start: the platform's database and its ordinary role (docs/security.md), and pgvector, which a superuser installs.
set -eu
password=$(cat /run/secrets/database_password)
psql --username "${POSTGRES_USER:-postgres}" --dbname postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$password" << 'SQL'
CREATE ROLE genai LOGIN PASSWORD :'password';
CREATE DATABASE genai OWNER genai;
\connect genai
CREATE EXTENSION vector;
SQL
