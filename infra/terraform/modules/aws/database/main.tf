# PostgreSQL with pgvector: in several zones, TLS alone, encrypted, with its address and password as one secret. In a second region
# it is a replica, whose secret names the replica's address.

ephemeral "random_password" "owner" {
  length  = 40
  special = false
}

resource "aws_db_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "PostgreSQL"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-database" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each                     = var.client_security_groups
  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "this" {
  name   = var.name
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_statement"
    value = "ddl"
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "1000"
  }
}

data "aws_iam_policy_document" "monitoring" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring.json
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "this" {
  identifier            = var.name
  engine                = var.replica_of == null ? "postgres" : null
  engine_version        = var.replica_of == null ? "17.6" : null
  instance_class        = var.instance_class
  allocated_storage     = var.replica_of == null ? var.storage_gb : null
  max_allocated_storage = var.storage_gb * 5
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn
  replicate_source_db   = var.replica_of == null ? null : var.replica_of.database_arn

  db_name             = var.replica_of == null ? "genai" : null
  username            = var.replica_of == null ? "genai" : null
  password_wo         = var.replica_of == null ? ephemeral.random_password.owner.result : null
  password_wo_version = var.replica_of == null ? var.generation : null
  ca_cert_identifier  = "rds-ca-rsa2048-g1"

  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [aws_security_group.this.id]
  publicly_accessible                 = false
  multi_az                            = var.multi_az
  parameter_group_name                = aws_db_parameter_group.this.name
  iam_database_authentication_enabled = true

  backup_retention_period   = var.backup_days
  backup_window             = "01:00-02:00"
  maintenance_window        = "sun:02:30-sun:03:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = false
  deletion_protection       = true
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.name}-final"

  auto_minor_version_upgrade      = true
  performance_insights_enabled    = true
  performance_insights_kms_key_id = var.kms_key_arn
  monitoring_interval             = 60
  monitoring_role_arn             = aws_iam_role.monitoring.arn
  enabled_cloudwatch_logs_exports = ["postgresql", "upgrade"]
}

ephemeral "aws_secretsmanager_secret_version" "first" {
  count     = var.replica_of == null ? 0 : 1
  region    = var.replica_of.region
  secret_id = var.replica_of.url_secret
}

resource "aws_secretsmanager_secret" "url" {
  #checkov:skip=CKV2_AWS_57:the password is rotated by raising generation, which writes it to the database and to this secret at once
  name                    = "genai-database-url"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 30
}

resource "aws_secretsmanager_secret_version" "url" {
  secret_id                = aws_secretsmanager_secret.url.id
  secret_string_wo         = var.replica_of == null ? "postgresql://genai:${ephemeral.random_password.owner.result}@${aws_db_instance.this.endpoint}/genai" : replace(ephemeral.aws_secretsmanager_secret_version.first[0].secret_string, var.replica_of.endpoint, aws_db_instance.this.endpoint)
  secret_string_wo_version = var.generation
}
