# One global address before all regions. What is cached (Cloud CDN) is named below, path by path, and has a backend of its own;
# everything else, answers above all, goes through and no copy is kept. A region whose pods are not well gets nothing.

locals {
  # static files and public documents that carry a cache-control of their own
  cached_paths = ["/static/*", "/favicon.ico", "/.well-known/jwks.json"]
  # the groups of endpoints that GKE keeps for the platform's Service, one a zone, once Argo CD has brought it
  endpoints = "genai-server"
  groups    = merge([for role, region in var.regions : { for zone in region.zones : zone => { zone = zone, share = region.serves ? 1 : 0, role = role } }]...)
}

data "google_compute_network_endpoint_group" "this" {
  for_each = local.groups
  name     = local.endpoints
  zone     = each.value.zone
}

resource "google_compute_global_address" "this" {
  name = var.name
}

resource "google_compute_health_check" "this" {
  name                = var.name
  check_interval_sec  = 10
  timeout_sec         = 5
  healthy_threshold   = 1
  unhealthy_threshold = 3

  https_health_check {
    port         = 8000
    request_path = "/api/v1/health/ready"
  }

  log_config {
    enable = true
  }
}

resource "google_compute_backend_service" "answers" {
  name                            = "${var.name}-answers"
  protocol                        = "HTTPS"
  load_balancing_scheme           = "EXTERNAL_MANAGED"
  health_checks                   = [google_compute_health_check.this.id]
  timeout_sec                     = 180
  connection_draining_timeout_sec = 130
  security_policy                 = google_compute_security_policy.this.id
  enable_cdn                      = false

  dynamic "backend" {
    for_each = local.groups
    content {
      group                 = data.google_compute_network_endpoint_group.this[backend.key].id
      description           = backend.value.role
      balancing_mode        = "RATE"
      max_rate_per_endpoint = 1000
      capacity_scaler       = backend.value.share
    }
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_backend_service" "cached" {
  name                  = "${var.name}-cached"
  protocol              = "HTTPS"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  health_checks         = [google_compute_health_check.this.id]
  timeout_sec           = 30
  security_policy       = google_compute_security_policy.this.id
  enable_cdn            = true

  cdn_policy {
    # what the platform says may be kept, and nothing else
    cache_mode = "USE_ORIGIN_HEADERS"
    cache_key_policy {
      include_host         = true
      include_protocol     = true
      include_query_string = true
    }
  }

  dynamic "backend" {
    for_each = local.groups
    content {
      group                 = data.google_compute_network_endpoint_group.this[backend.key].id
      description           = backend.value.role
      balancing_mode        = "RATE"
      max_rate_per_endpoint = 1000
      capacity_scaler       = backend.value.share
    }
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "https" {
  name            = var.name
  default_service = google_compute_backend_service.answers.id

  host_rule {
    hosts        = [var.domain]
    path_matcher = "platform"
  }

  path_matcher {
    name            = "platform"
    default_service = google_compute_backend_service.answers.id

    path_rule {
      paths   = local.cached_paths
      service = google_compute_backend_service.cached.id
    }
  }
}

resource "google_compute_url_map" "http" {
  name = "${var.name}-http"

  default_url_redirect {
    https_redirect = true
    strip_query    = false
  }
}

resource "google_compute_managed_ssl_certificate" "this" {
  name = var.name
  managed {
    domains = [var.domain]
  }
}

resource "google_compute_ssl_policy" "this" {
  name            = var.name
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  name             = var.name
  url_map          = google_compute_url_map.https.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
}

resource "google_compute_target_http_proxy" "this" {
  name    = var.name
  url_map = google_compute_url_map.http.id
}

resource "google_compute_global_forwarding_rule" "https" {
  name                  = "${var.name}-https"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this.id
}

resource "google_compute_global_forwarding_rule" "http" {
  name                  = "${var.name}-http"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = "80"
  target                = google_compute_target_http_proxy.this.id
}

# Cloud Armor: known attacks in addresses and headers, and who asks far too often. Bodies of prompts look like attacks now and then, and
# are the platform's to read.
resource "google_compute_security_policy" "this" {
  name = var.name
  type = "CLOUD_ARMOR"

  rule {
    action      = "deny(403)"
    priority    = 1000
    description = "Log4Shell and its like"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  rule {
    action      = "rate_based_ban"
    priority    = 2000
    description = "Too many requests of one address"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action   = "allow"
      exceed_action    = "deny(429)"
      enforce_on_key   = "IP"
      ban_duration_sec = 300
      rate_limit_threshold {
        count        = var.requests_per_address
        interval_sec = 300
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    description = "Everybody else"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_dns_record_set" "this" {
  name         = "${var.domain}."
  managed_zone = var.dns_zone
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this.address]
}

# only Google and Let's Encrypt may issue for the name
resource "google_dns_record_set" "authority" {
  name         = "${var.domain}."
  managed_zone = var.dns_zone
  type         = "CAA"
  ttl          = 3600
  rrdatas      = ["0 issue \"pki.goog\"", "0 issue \"letsencrypt.org\""]
}
