# ECS on Fargate: servers behind the load balancer and workers, both of the one image, without a node to look after.

data "aws_region" "current" {}

locals {
  # GENAI_SHUTDOWN__GRACE_S: the load balancer has let go of a task before it is stopped (deregistration_delay); no more fits
  # into stopTimeout, whose limit is 120
  settings = {
    AWS_REGION                  = data.aws_region.current.region
    GENAI_HOST                  = "0.0.0.0"
    GENAI_PORT                  = "8000"
    GENAI_DATA_DIR              = "/data"
    GENAI_PUBLIC_URL            = "https://${var.domain}"
    GENAI_FILES_URL             = "s3://${var.bucket}/files"
    GENAI_RETRIEVAL__STORE      = "pgvector"
    GENAI_JOBS__EMBEDDED_WORKER = "false"
    GENAI_ENCRYPTION__SOURCE    = "aws_kms"
    GENAI_ENCRYPTION__KEY_ID    = var.tenants_alias
    GENAI_PROXIES__TRUSTED      = jsonencode(var.proxy_networks)
    GENAI_TLS__CERTIFICATE_FILE = "/certificates/tls.crt"
    GENAI_TLS__KEY_FILE         = "/certificates/tls.key"
    GENAI_TLS__CA_FILE          = "/certificates/authorities.pem"
    GENAI_TLS__ALLOW_PLAINTEXT  = jsonencode(["0.0.0.0"])
    GENAI_METRICS__HOST         = "127.0.0.1"
    GENAI_METRICS__PORT         = "9464"
    GENAI_LOG__FORMAT           = "json"
    GENAI_TIMEOUTS__TOTAL       = "120"
    GENAI_SHUTDOWN__GRACE_S     = "90"
    GENAI_LOCAL__WARM           = "false"
  }
  environment = [for name, value in merge(local.settings, var.settings) : { name = name, value = value }]
  secrets     = [for name, arn in var.secrets : { name = name, valueFrom = arn }]
  roles = {
    server = {
      command = ["python", "langserve_app.py"]
      cpu     = var.server.cpu
      memory  = var.server.memory
      ports   = [{ containerPort = 8000, protocol = "tcp" }]
    }
    worker = {
      command = ["python", "-m", "jobs.worker"]
      cpu     = var.worker.cpu
      memory  = var.worker.memory
      ports   = []
    }
  }
  mounts = [
    { sourceVolume = "data", containerPath = "/data", readOnly = false },
    { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
    { sourceVolume = "certificates", containerPath = "/certificates", readOnly = true },
  ]
  hardened = {
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    privileged             = false
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each          = toset(["server", "worker", "collector", "commands"])
  name              = "/${var.name}/${each.key}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enhanced"
  }

  configuration {
    execute_command_configuration {
      kms_key_id = var.kms_key_arn
      logging    = "OVERRIDE"
      log_configuration {
        cloud_watch_encryption_enabled = true
        cloud_watch_log_group_name     = aws_cloudwatch_log_group.this["commands"].name
      }
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]

  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}

resource "aws_security_group" "this" {
  name        = "${var.name}-tasks"
  description = "Servers and workers"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-tasks" }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  security_group_id            = aws_security_group.this.id
  description                  = "HTTPS from the load balancer"
  referenced_security_group_id = var.load_balancer.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 8000
  to_port                      = 8000
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "Providers of models and AWS's services"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "data" {
  for_each          = { postgresql = 5432, valkey = 6379 }
  security_group_id = aws_security_group.this.id
  description       = each.key
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = local.roles
  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  ephemeral_storage {
    size_in_gib = 30
  }

  volume {
    name = "data"
  }
  volume {
    name = "tmp"
  }
  volume {
    name = "certificates"
  }

  container_definitions = jsonencode([
    merge(local.hardened, {
      name             = "prepare"
      user             = "0"
      essential        = false
      command          = ["python", "-c", file("${path.module}/prepare.py")]
      environment      = [{ name = "AWS_REGION", value = data.aws_region.current.region }]
      mountPoints      = [for mount in local.mounts : merge(mount, { readOnly = false })]
      logConfiguration = local.logs[each.key]
    }),
    merge(local.hardened, {
      name             = each.key
      command          = each.value.command
      environment      = local.environment
      secrets          = local.secrets
      portMappings     = each.value.ports
      mountPoints      = local.mounts
      stopTimeout      = 120
      dependsOn        = [{ containerName = "prepare", condition = "SUCCESS" }]
      logConfiguration = local.logs[each.key]
    }),
    merge(local.hardened, {
      name             = "collector"
      image            = var.collector_image
      essential        = false
      command          = ["--config=env:COLLECTOR"]
      environment      = [{ name = "COLLECTOR", value = local.collector }]
      mountPoints      = []
      logConfiguration = local.logs["collector"]
    }),
  ])
}

locals {
  logs = { for role, group in aws_cloudwatch_log_group.this : role => {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = group.name
      "awslogs-region"        = data.aws_region.current.region
      "awslogs-stream-prefix" = role
    }
  } }

  # scrapes the platform beside it and writes to the workspace, signed by the task's role
  collector = yamlencode({
    extensions = { sigv4auth = { region = data.aws_region.current.region, service = "aps" } }
    receivers = { prometheus = { config = { scrape_configs = [{
      job_name        = "genai"
      scrape_interval = "15s"
      static_configs  = [{ targets = ["127.0.0.1:9464"] }]
    }] } } }
    exporters = { prometheusremotewrite = {
      endpoint = "${var.metrics_endpoint}api/v1/remote_write"
      auth     = { authenticator = "sigv4auth" }
    } }
    service = {
      extensions = ["sigv4auth"]
      pipelines  = { metrics = { receivers = ["prometheus"], exporters = ["prometheusremotewrite"] } }
    }
  })
}

resource "aws_ecs_service" "server" {
  name                               = "server"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this["server"].arn
  desired_count                      = var.server.least
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  health_check_grace_period_seconds  = 120
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.load_balancer.target_group_arn
    container_name   = "server"
    container_port   = 8000
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}

resource "aws_ecs_service" "worker" {
  name                               = "worker"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this["worker"].arn
  desired_count                      = var.worker.least
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  availability_zone_rebalancing      = "ENABLED"

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.this.id]
    assign_public_ip = false
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [desired_count]
  }
}
